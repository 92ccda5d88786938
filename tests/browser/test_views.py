"""Three views of one definition: what each lets a person do, and that none loses what was written in another."""

import gzip
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.editor_page import NEW, EditorPage, path_of_workflow
from tests.browser.living import echo
from tests.browser.site import ROOT, Site

TEXT = """\
# What the shop greets with.
workflow_id: {id}
steps:
  # the first word
  - step_id: greet
    function_name: echo  # any agent has it
    agent_id: content_creator
    parameters: {{message: "Good ${{input.time}}"}}
"""
VENDORED = "/static/vendor/"
LARGEST_VENDORED = 1024 * 1024
Edit = Callable[[EditorPage], None]


@pytest.fixture
def editor(visit: OpenPage) -> EditorPage:
    return EditorPage(visit().go(NEW))


# --- YAML ------------------------------------------------------------------------------------------------------------


def test_yaml_is_checked_while_it_is_typed_and_problems_lead_to_their_line(editor: EditorPage) -> None:
    editor.open("YAML")
    editor.type(TEXT.format(id="typed").replace("echo", "ecco"))
    editor.has("1 problem")
    problem = editor.page.locator("[data-problems] .k-problem")
    expect(problem).to_contain_text("line 6, column")
    expect(problem).to_contain_text("ecco")
    expect(editor.page.locator(".cm-lint-marker-error")).to_have_count(1)
    problem.click()
    assert editor.page.evaluate("document.activeElement.classList.contains('cm-content')")
    editor.page.keyboard.press("Control+a")
    editor.page.keyboard.insert_text("steps: [\n")
    expect(problem.first).to_contain_text("line")


def test_yaml_completes_keys_agents_functions_and_names_in_reach(editor: EditorPage) -> None:
    editor.open("YAML")
    editor.type(TEXT.format(id="completed"))
    editor.has("no problems")
    editor.page.keyboard.press("Control+End")
    for typed, expected in (
        ("  - step_id: second\n    agent_id: ", "research_assistant"),
        ("content_creator\n    function_name: ", "inference"),
        ('echo\n    parameters: {message: "${steps.gre', "steps.greet"),
        ('et.result.echo}"}\n    max', "max_retries"),
    ):
        editor.page.keyboard.insert_text(typed)
        editor.page.keyboard.press("Control+Space")
        expect(editor.page.locator(".cm-tooltip-autocomplete")).to_contain_text(expected)
        editor.page.keyboard.press("Escape")


def test_yaml_explains_a_key_that_is_pointed_at(editor: EditorPage) -> None:
    editor.open("YAML")
    editor.type(TEXT.format(id="explained"))
    editor.has("no problems")
    editor.page.locator(".cm-line span", has_text="function_name").hover()
    expect(editor.page.locator(".k-help")).to_contain_text("Gives the message back")


def test_comments_and_order_survive_and_format_only_tidies(editor: EditorPage) -> None:
    editor.open("YAML")
    editor.type(TEXT.format(id="kept").replace("agent_id: ", "agent_id:     "))
    editor.page.get_by_role("button", name="Format").click()
    assert "    agent_id: content_creator" in editor.text()
    assert "# any agent has it" in editor.text()
    editor.has("no problems")
    written = editor.text()
    for view in ("Form", "Designer", "YAML"):
        editor.open(view)
    assert editor.text() == written
    editor.save()
    editor.open("YAML")
    assert editor.text().rstrip() == written.rstrip()


# --- The views together ----------------------------------------------------------------------------------------------


def _in_designer(editor: EditorPage) -> None:
    editor.select("greet")
    editor.write("hail", "step_id")


def _in_form(editor: EditorPage) -> None:
    step = editor.page.locator("[data-step]").first
    step.locator("summary").first.click()
    step.locator('[name$="-step_id"]').fill("hail")


def _in_yaml(editor: EditorPage) -> None:
    editor.type(editor.text().replace("step_id: greet", "step_id: hail"))


in_each_view = pytest.mark.parametrize(
    ("view", "edit"), [("Designer", _in_designer), ("Form", _in_form), ("YAML", _in_yaml)]
)


@in_each_view
def test_what_is_changed_in_one_view_is_seen_in_the_others(view: str, edit: Edit, site: Site, visit: OpenPage) -> None:
    site.store(echo("greet"), workflow_id=f"seen_{view.lower()}")
    editor = EditorPage(visit().go(path_of_workflow(site, f"seen_{view.lower()}")))
    editor.open(view)
    edit(editor)
    editor.has("no problems")
    others = [other for other in ("Designer", "Form", "YAML") if other != view]
    for other in others:
        editor.open(other)
        expect(editor.page.locator(f"#view-{other.lower()}")).to_contain_text("hail")
    editor.save(note="renamed")
    assert site.api("GET", f"sequential-workflows/seen_{view.lower()}")["steps"][0]["step_id"] == "hail"


def test_leaving_with_unsaved_changes_warns(editor: EditorPage) -> None:
    editor.open("YAML")
    editor.type(TEXT.format(id="left"))
    with editor.page.expect_event("dialog") as awaited:
        editor.page.close(run_before_unload=True)
    assert awaited.value.type == "beforeunload"
    awaited.value.dismiss()
    assert "workflow_id: left" in editor.text()


# --- Form ------------------------------------------------------------------------------------------------------------


def test_steps_are_added_sorted_and_removed_in_the_form(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), echo("two"), workflow_id="formed")
    page = visit().go(path_of_workflow(site, "formed"))
    editor = EditorPage(page)
    editor.open("Form")
    page.get_by_role("button", name="Move down").first.click()
    page.get_by_role("button", name="Add a step").click()
    new = page.locator("[data-step]").last
    new.locator('[name$="-step_id"]').fill("three")
    new.locator('[name$="-agent_id"]').select_option("content_creator")
    new.locator('[name$="-function_name"]').select_option("echo")
    expect(new.locator("[data-about]")).to_contain_text("message")
    new.locator('[name$="-parameters"]').fill("message: hello")
    page.locator("[data-step]").nth(1).get_by_role("button", name="Remove").click()
    editor.has("no problems")
    editor.save()
    stored = site.api("GET", "sequential-workflows/formed")["steps"]
    assert [each["step_id"] for each in stored] == ["two", "three"]


@in_each_view
def test_a_small_edit_is_made_on_a_phone(view: str, edit: Edit, site: Site, visit: OpenPage) -> None:
    site.store(echo("greet"), workflow_id=f"phone_{view.lower()}")
    watched = visit(width=390)
    editor = EditorPage(watched.go(path_of_workflow(site, f"phone_{view.lower()}")))
    editor.open(view)
    if view == "Designer":
        editor.page.locator(".sqd-smart-editor-toggle").click()
    edit(editor)
    editor.has("no problems")
    assert watched.too_wide() == 0
    editor.save()
    assert site.api("GET", f"sequential-workflows/phone_{view.lower()}")["steps"][0]["step_id"] == "hail"


# --- Designer --------------------------------------------------------------------------------------------------------


def test_steps_are_copied_moved_deleted_and_undone_by_keyboard(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), echo("two"), workflow_id="keyed")
    page = visit().go(path_of_workflow(site, "keyed"))
    editor = EditorPage(page)
    editor.open("Designer")
    for chosen, label, expected in (
        ("one", "Copy", ["one", "one_2", "two"]),
        ("one_2", "Move down", ["one", "two", "one_2"]),
        ("one_2", "Delete", ["one", "two"]),
    ):
        editor.select(chosen)
        editor.panel.get_by_role("button", name=label).focus()
        page.keyboard.press("Enter")
        editor.has_steps(*expected)
    page.get_by_title("Undo").click()
    editor.has_steps("one", "two", "one_2")
    page.get_by_title("Redo").click()
    editor.has_steps("one", "two")


def test_a_problem_is_shown_on_its_step_and_the_list_jumps_there(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), echo("two"), workflow_id="pointed")
    page = visit().go(path_of_workflow(site, "pointed"))
    editor = EditorPage(page)
    editor.open("Designer")
    editor.select("two")
    editor.write("${steps.three.result}", "parameters", "message")
    editor.has("1 problem")
    expect(page.locator(".sqd-validation-error")).to_have_count(1)
    editor.panel.get_by_role("button", name="Back to the workflow").click()
    page.locator("[data-problems] .k-problem").click()
    expect(editor.panel.locator("[data-told]")).to_contain_text("three")
    expect(editor.field("step_id")).to_contain_text("two")


def test_names_in_reach_are_offered_in_a_field(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), echo("two"), workflow_id="reached")
    editor = EditorPage(visit().go(path_of_workflow(site, "reached")))
    editor.open("Designer")
    editor.select("two")
    field = editor.field("parameters", "message").locator(".cm-content")
    field.click()
    editor.page.keyboard.press("Control+a")
    editor.page.keyboard.type("${steps.")
    expect(editor.page.locator(".cm-tooltip-autocomplete")).to_contain_text("steps.one")


def test_two_hundred_steps_are_drawn_chosen_and_edited(site: Site, visit: OpenPage) -> None:
    site.store(*(echo(f"s{number}") for number in range(200)), workflow_id="long")
    page = visit().go(path_of_workflow(site, "long"))
    editor = EditorPage(page)
    editor.open("Designer")
    expect(page.locator(".k-designer [data-step-id]")).to_have_count(200)
    editor.select("s150")
    editor.write("renamed", "step_id")
    editor.has("no problems")
    editor.to_workflow()
    expect(editor.panel.locator(".k-outline li button").nth(150)).to_have_text("renamed")


def test_the_drawing_is_zoomed_and_comes_back(site: Site, visit: OpenPage) -> None:
    site.store(*(echo(f"s{number}") for number in range(5)), workflow_id="zoomed")
    page = visit().go(path_of_workflow(site, "zoomed"))
    EditorPage(page).open("Designer")
    box = page.locator(".k-designer [data-step-id]").first

    def width() -> float:
        page.wait_for_timeout(500)  # the drawing glides to its new size
        found = box.bounding_box()
        assert found
        return float(found["width"])

    usual = width()
    page.get_by_title("Zoom out").click()
    smaller = width()
    page.get_by_title("Zoom in").click()
    page.get_by_title("Zoom in").click()
    assert smaller < usual <= width()
    page.get_by_title("Reset view").click()
    assert width() == pytest.approx(usual, rel=0.05)


def test_what_is_vendored_is_small_and_loads_only_in_the_editor(site: Site, visit: OpenPage) -> None:
    files = [path for path in (ROOT / "static" / "vendor").iterdir() if path.suffix in {".js", ".css"}]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < LARGEST_VENDORED
    site.store(echo("one"), workflow_id="loading")
    watched = visit()
    loaded: list[str] = []
    watched.page.on("request", lambda request: loaded.append(request.url))
    for path in ("/admin/", "/admin/workflows/run/", "/admin/agents/agent/", "/admin/workflows/workflow/"):
        watched.go(path)
    assert [url for url in loaded if VENDORED in url] == []
    watched.go(path_of_workflow(site, "loading"))
    watched.page.wait_for_load_state("networkidle")
    names = {re.sub(r"(\.[0-9a-f]{12})?\.js.*", "", url).rpartition("/")[2] for url in loaded if VENDORED in url}
    assert names >= {"codemirror", "designer", "yaml"}


# --- Files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_opened_by_dropping_it(editor: EditorPage) -> None:
    text = TEXT.format(id="dropped")
    editor.page.evaluate(DROP, text)
    editor.has("no problems")
    assert "workflow_id: dropped" in editor.text()


DROP = """(text) => {
    const data = new DataTransfer();
    data.items.add(new File([text], "dropped.yaml"));
    document.querySelector("[data-editor]").dispatchEvent(new DragEvent("drop", { bubbles: true, dataTransfer: data }));
}"""


@pytest.mark.parametrize(("label", "ending"), [("YAML", ".yaml"), ("JSON", ".json"), ("Mermaid", ".mmd")])
def test_a_definition_is_exported_and_read_again(label: str, ending: str, site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), workflow_id=f"exported_{label.lower()}")
    page = visit().go(path_of_workflow(site, f"exported_{label.lower()}"))
    with page.expect_download() as awaited:
        page.get_by_role("link", name=f"Export as {label}").click()
    assert awaited.value.suggested_filename.endswith(ending)
    if label == "Mermaid":
        assert "one" in awaited.value.path().read_text()
        return
    editor = EditorPage(page)
    page.locator("[data-file]").set_input_files(
        {"name": f"x{ending}", "mimeType": "text/plain", "buffer": awaited.value.path().read_bytes()}
    )
    editor.has("no problems")
    assert f"exported_{label.lower()}" in editor.text()
