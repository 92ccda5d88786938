"""From a draft to versions, from a template to workflows, and the agents that carry them out."""

import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.conftest import OpenPage
from tests.browser.editor_page import NEW, EditorPage, path_of_workflow
from tests.browser.living import echo
from tests.browser.run_page import expect_status
from tests.browser.site import Site
from tests.browser.watched import open_page, sign_in

PATIENCE = 20_000


# --- Drafts, versions, and what others store meanwhile ---------------------------------------------------------------


def test_what_does_not_check_is_kept_as_a_draft_and_not_run(visit: OpenPage) -> None:
    page = visit().go(NEW)
    editor = EditorPage(page)
    editor.open("YAML")
    editor.type("workflow_id: half_done\nsteps: []\n")
    editor.has("1 problem")
    editor.save()
    expect(page.get_by_role("alert").first).to_contain_text("Nothing was stored.")
    editor.save("Keep as draft")
    page.goto(page.url.partition("?")[0])
    page.locator(".k-notice", has_text="You keep a draft").get_by_role("link").click()
    editor.open("YAML")
    assert "half_done" in editor.text()
    editor.save("Discard the draft")
    expect(page.get_by_text("You keep a draft")).to_have_count(0)


def test_what_another_stored_meanwhile_is_shown_and_not_overwritten(site: Site, visit: OpenPage) -> None:
    site.store(echo("a"), workflow_id="shared")
    page = visit().go(path_of_workflow(site, "shared"))
    editor = EditorPage(page)
    editor.open("YAML")
    site.api("PUT", "sequential-workflows/shared", {"steps": [echo("a"), echo("theirs")]})
    editor.type(editor.text().replace("step_id: a", "step_id: mine"))
    editor.has("no problems")
    editor.save()
    alert = page.get_by_role("alert").first
    expect(alert).to_contain_text("local stored version 2 meanwhile")
    expect(page.locator(".k-diff")).to_contain_text("theirs")
    assert [step["step_id"] for step in site.api("GET", "sequential-workflows/shared")["steps"]] == ["a", "theirs"]
    alert.get_by_role("button", name="Store mine as version 3").click()
    page.wait_for_load_state()
    assert [step["step_id"] for step in site.api("GET", "sequential-workflows/shared")["steps"]] == ["mine"]


def test_versions_are_compared_restored_and_run(site: Site, visit: OpenPage) -> None:
    site.store(echo("a"), workflow_id="versioned")
    site.api("PUT", "sequential-workflows/versioned", {"steps": [echo("a"), echo("b")]})
    page = visit().go(path_of_workflow(site, "versioned"))
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page.locator(".k-diff")).to_contain_text("step added")
    expect(page.locator(".k-lines .is-inserted").first).to_contain_text("step_id: b")
    page.go_back()
    page.get_by_role("link", name="Restore …").click()
    page.get_by_label("Note").fill("b was a mistake")
    page.get_by_role("button", name="Restore version 1").click()
    expect(page.get_by_text("Version 1 is restored as version 3.")).to_be_visible()
    row = page.get_by_role("row", name=re.compile("b was a mistake"))
    expect(row).to_contain_text("admin")
    page.get_by_role("row", name=re.compile("^version 2")).get_by_role("link", name="Run …").click()
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url("**/run/*/change/")
    expect(page.locator("#run-status")).to_have_text("completed", timeout=PATIENCE)
    expect(page.locator(".k-head").get_by_text("version 2")).to_be_visible()


# --- Try -------------------------------------------------------------------------------------------------------------


def test_a_draft_is_tried_edited_and_tried_again_from_the_changed_step_on(site: Site, visit: OpenPage) -> None:
    page = visit().go(NEW)
    editor = EditorPage(page)
    editor.open("YAML")
    text = (
        "workflow_id: tried\nsteps:\n"
        "  - {step_id: one, agent_id: content_creator, function_name: echo, parameters: {message: '${input.word}'}}\n"
        "  - {step_id: two, agent_id: content_creator, function_name: echo, parameters: {message: second}}\n"
    )
    editor.type(text)
    editor.has("no problems")
    trial = page.locator("[data-trial]")
    trial.get_by_label("Input context").fill("word: hello")
    trial.get_by_role("button", name="Try", exact=True).click()
    results = trial.locator("[data-results] li")
    expect(trial.locator("[data-told]")).to_contain_text("Completed.", timeout=PATIENCE)
    expect(results.nth(0)).to_contain_text("hello")
    expect(results).to_have_count(2)
    editor.type(text.replace("second", "changed"))
    editor.has("no problems")
    trial.get_by_role("button", name="Try", exact=True).click()
    expect(results.nth(1)).to_contain_text("changed", timeout=PATIENCE)
    expect(results.nth(0)).to_contain_text("as before")
    expect(results.nth(1)).not_to_contain_text("as before")
    listed = site.api("GET", "sequential-workflows")
    assert "tried" not in {workflow["workflow_id"] for workflow in listed}


# --- Templates -------------------------------------------------------------------------------------------------------


def test_a_workflow_is_made_from_a_template_by_its_form(visit: OpenPage) -> None:
    page = visit().go("/admin/workflows/template/")
    page.get_by_role("row", name=re.compile("content_creation")).get_by_role("link", name="Make a workflow").click()
    page.get_by_label("Parameters").fill("audience: children")
    page.get_by_role("button", name="Make the workflow").click()
    expect(page.locator(".k-field-error").first).to_contain_text("topic")
    page.get_by_label("Parameters").fill("topic: Clouds\naudience: children")
    page.get_by_label("Id of the workflow").fill("clouds")
    page.get_by_role("button", name="Make the workflow").click()
    expect(page.get_by_text("clouds is made from template content_creation.")).to_be_visible()


def test_many_workflows_are_made_from_a_csv_file_with_errors_by_row_and_progress(
    site: Site, visit: OpenPage, tmp_path: Path
) -> None:
    step = echo("greet", parameters={"message": "${params.who}"})
    parameters = {"type": "object", "properties": {"who": {"type": "string", "minLength": 1}}, "required": ["who"]}
    definition = {"workflow_id": "hello_${params.who}", "steps": [step]}
    site.api("POST", "workflow-templates", {"name": "hello", "parameters": parameters, "definition": definition})
    (tmp_path / "people.csv").write_text("who\nAnn\n\nBob\nno one\n")
    page = visit().go("/admin/workflows/template/")
    page.get_by_role("row", name=re.compile("hello")).get_by_role("link", name="Make many").click()
    page.locator("input[type=file]").set_input_files(tmp_path / "people.csv")
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator(".k-events .k-error", has_text="hello_no one")).to_have_count(1)
    page.get_by_role("button", name=re.compile("Make 3 workflows; rows with errors fail alone")).click()
    expect(page.locator("[data-batch] p")).to_have_text("2 done, 1 failed, 0 pending", timeout=PATIENCE)
    assert site.status(site.run("hello_Bob")) == "completed"


# --- Agents ----------------------------------------------------------------------------------------------------------


def test_a_function_of_an_agent_is_tried(visit: OpenPage) -> None:
    page = visit().go("/admin/agents/agent/")
    page.get_by_role("link", name="qa_specialist").first.click()
    page.locator("details", has_text="text_processing").locator("summary").first.click()
    page.get_by_role("link", name="Try it …").locator("visible=true").first.click()
    page.get_by_label("Function").select_option("text_processing")
    page.get_by_label("Parameters").fill("text: It rains. It pours.\noperation: analyze")
    page.get_by_role("button", name="Try", exact=True).click()
    page.wait_for_url("**/run/*/change/")
    page.evaluate("window.isTheSame = true")
    expect_status(page, "completed")
    page.locator('details[data-path="try"] > summary').click()
    expect(page.locator('details[data-path="try"]')).to_contain_text("word_count")


def test_an_agent_is_disabled_and_enabled(site: Site, visit: OpenPage) -> None:
    page = visit().go("/admin/agents/agent/")
    for label, expected in (("Disable: steps that name it fail", "Disabled"), ("Enable", "Enabled")):
        page.get_by_role("row", name=re.compile("project_manager")).get_by_role("checkbox").check()
        page.locator("select[name=action]").select_option(label=label)
        page.get_by_role("button", name="Run", exact=True).locator("visible=true").first.click()
        expect(page.get_by_text(f"{expected}: project_manager.")).to_be_visible()


def test_the_agents_file_is_read_anew_with_a_preview(site: Site, visit: OpenPage) -> None:
    code = "from agents.models import Agent; Agent.objects.filter(name='code_assistant').update(max_concurrent_jobs=97)"
    site.manage("shell", "-c", code)
    page = visit().go("/admin/agents/agent/")
    page.get_by_role("link", name="Read the file anew").locator("visible=true").first.click()
    row = page.locator(".k-diff tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(re.compile("code_assistant.*max_concurrent_jobs.*97", re.DOTALL))
    page.get_by_role("button", name="Take it over").click()
    expect(page.get_by_text("1 agent changed")).to_be_visible()


# --- The first minutes -----------------------------------------------------------------------------------------------


def test_a_new_system_shows_three_ways_that_each_lead_to_a_finished_run(browser: Browser) -> None:
    site = Site(KOLOSAL_INFERENCE_URL="")
    watched = open_page(site, browser, sign_in(site, browser))
    page = watched.go("/admin/")
    first = page.locator("#home-examples")
    first.get_by_role("link", name="Run", exact=True).first.click()
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url("**/run/*/change/")
    expect(page.locator("#run-status")).to_have_text("completed", timeout=PATIENCE)

    page = watched.go("/admin/")
    page.get_by_role("link", name="Make one from a template").click()
    page.get_by_role("row", name=re.compile("content_creation")).get_by_role("link", name="Make a workflow").click()
    page.get_by_label("Parameters").fill("topic: Clouds")
    page.get_by_role("button", name="Make the workflow").click()
    expect(page.locator('[data-field="workflow_id"] .k-field-error')).to_contain_text("give one")
    page.get_by_label("Id of the workflow").fill("clouds")
    page.get_by_role("button", name="Make the workflow").click()
    page.get_by_role("link", name="Run", exact=True).click()
    page.get_by_role("button", name="Start the run").click()
    expect(page.locator("#run-status")).to_have_text("completed", timeout=PATIENCE)

    page = watched.go("/admin/")
    page.get_by_role("link", name="Ask the model servers").click()
    expect(page.get_by_text("KOLOSAL_INFERENCE_URL").first).to_be_visible()
    assert watched.wrong == []
    site.close()
