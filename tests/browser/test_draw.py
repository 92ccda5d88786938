"""A workflow with a loop and a branch over three agents, without a word of YAML."""

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.editor_page import NEW, EditorPage
from tests.browser.run_page import expect_status, step
from tests.browser.site import Site


def test_it_is_drawn_checked_tried_saved_run_and_watched(site: Site, visit: OpenPage) -> None:
    page = visit().go(NEW)
    editor = EditorPage(page)
    editor.open("Designer")
    editor.write("drawn", "workflow_id")
    editor.write("A drawn workflow", "workflow_name")
    editor.write("properties:\n  topics: {type: array, default: [wind, sun]}", "parameters")

    editor.drag("for each", "Blocks")
    editor.write("each", "step_id")
    editor.write("input.topics", "for_each")
    editor.write("topic", "as")
    editor.has("1 problem")  # a loop without steps
    editor.add("text_processing", "research_assistant", "Inside, at the end")
    editor.write("look", "step_id")
    editor.write("analyze", "parameters", "operation")
    editor.write("All about the ${topic}.", "parameters", "text")
    editor.select("each")
    editor.add("if", "Blocks")
    editor.write("many", "step_id")
    editor.write("size(input.topics) > 1", "if")
    editor.add("text_processing", "qa_specialist", "In then, at the end")
    editor.write("judge", "step_id")
    editor.write("quality_review", "parameters", "operation")
    editor.write("There are ${size(input.topics)} topics.", "parameters", "text")
    editor.select("many")
    editor.add("text_processing", "content_creator", "In else, at the end")
    editor.write("tell", "step_id")
    editor.write("summarize", "parameters", "operation")
    editor.write("There is one topic only.", "parameters", "text")
    editor.has("no problems")

    page.locator("[data-trial]").get_by_role("button", name="Try", exact=True).click()
    expect(page.locator("[data-trial] [data-told]")).to_contain_text("Completed.", timeout=20_000)
    expect(page.locator("[data-results] li", has_text="each[1].look")).to_contain_text("completed")

    editor.open("YAML")
    text = editor.text()
    assert text.startswith("workflow_id: drawn\nworkflow_name: A drawn workflow\n"), text
    assert (
        "    if: size(input.topics) > 1\n    then:\n      - step_id: judge\n        agent_id: qa_specialist\n" in text
    )
    assert "null" not in text
    editor.save("Save and run", note="Drawn")
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/run/*/change/")
    page.evaluate("window.isTheSame = true")
    expect_status(page, "completed")
    expect(step(page, "many.judge")).to_be_attached()
    expect(step(page, "each[1].look")).to_be_attached()

    first = site.api("GET", "sequential-workflows/drawn/versions")
    site.api("PUT", "sequential-workflows/drawn", data=text, headers={"Content-Type": "application/yaml"})
    assert site.api("GET", "sequential-workflows/drawn/versions") == first, "the same text is another version"
