"""Making and editing a workflow in the admin's form."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.admin.factories import signed_in, step, sync_agents, workflow
from workflows import publishing
from workflows.models import Draft, Event, Run, Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor() -> Client:
    sync_agents()
    return signed_in(superuser=True)


def form(*rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """What a browser sends: the workflow's fields, and one row for each step."""
    sent = {"workflow_id": "article", "max_execution_time_seconds": "600", "stop_on_failure": "on"} | fields
    sent |= {"steps-TOTAL_FORMS": str(len(rows)), "steps-INITIAL_FORMS": "0"}
    for index, row in enumerate(rows):
        values = {"origin": "-1", "position": str(index + 1), "timeout_seconds": "60", "max_retries": "3"}
        values |= row
        sent |= {f"steps-{index}-{key}": value for key, value in values.items()}
    return sent


def change(workflow: Workflow) -> str:
    return reverse("admin:workflows_workflow_change", args=[workflow.pk])


def sent_again(client: Client, workflow: Workflow, **fields: Any) -> dict[str, Any]:
    """The form as the page shows it, with these fields changed: what a browser sends after an edit."""
    shown = client.get(change(workflow)).context["editor"]
    sent: dict[str, Any] = {field.html_name: field.value() for field in (*shown.save, *shown.forms.form)}
    sent["written"] = shown.forms.written_text
    for bound in shown.forms.steps.forms:
        sent |= {field.html_name: field.value() for field in bound}
    sent |= {field.html_name: field.value() for field in shown.forms.steps.management_form}
    return {key: value for key, value in (sent | fields).items() if value is not None and value is not False}


def version() -> WorkflowVersion:
    """The current version of the workflow that these tests edit."""
    current = publishing.current("article").current
    assert current is not None
    return current


ADD = "/admin/workflows/workflow/add/"
ECHO = {"step_id": "write", "agent_id": "content_creator", "function_name": "echo"}


def test_a_form_makes_the_first_version(editor: Client) -> None:
    rows = [ECHO | {"parameters": "message: |-\n  two\n  lines"}, ECHO | {"step_id": "again"}]
    answer = editor.post(ADD, form(*rows, workflow_name="An article", tags="a, b"))
    made = publishing.current("article")
    assert answer.status_code == 302
    assert made.definition["tags"] == ["a", "b"]
    assert made.definition["steps"][0]["parameters"] == {"message": "two\nlines"}
    assert [s.step_id for s in made.steps.all()] == ["write", "again"]
    assert Event.objects.get(type="workflow_created").actor == "person"


def test_parameters_may_be_json(editor: Client) -> None:
    editor.post(ADD, form(ECHO | {"parameters": '{"message": "caf\\u00e9 \\ud83d\\ude00"}'}))
    assert publishing.current("article").definition["steps"][0]["parameters"] == {"message": "café 😀"}


def test_every_problem_stands_at_its_field(editor: Client) -> None:
    rows = [
        ECHO | {"agent_id": "content_creater", "max_retries": "-1"},
        ECHO | {"step_id": "no id", "function_name": "ecko", "precondition": "steps.later.result"},
        ECHO | {"step_id": "third", "parameters": "a: [1"},
    ]
    answer = editor.post(ADD, form(*rows, max_execution_time_seconds="0", global_context="just text"))
    shown = answer.context["editor"]
    assert not Workflow.objects.exists()
    assert set(shown.forms.form.errors) == {"max_execution_time_seconds", "global_context"}
    first, second, third = (row.errors for row in shown.forms.steps.forms)
    assert set(first) == {"agent_id", "max_retries"}
    assert "content_creator" in str(first["agent_id"])
    assert set(second) == {"step_id", "function_name", "precondition"}
    assert set(third) == {"parameters"}
    assert "line 2, column 1" in str(third["parameters"])


def test_a_bad_other_field_is_said_at_the_row(editor: Client) -> None:
    answer = editor.post(ADD, form(ECHO | {"other": "retry: {multiplier: many}\nmax_retrys: 3"}))
    said = str(answer.context["editor"].forms.steps.forms[0].errors["other"])
    assert "retry.multiplier" in said
    assert "max_retries" in said


def test_steps_are_stored_in_the_order_of_their_positions_without_removed_ones(editor: Client) -> None:
    rows = [
        ECHO | {"step_id": "b", "position": "2"},
        ECHO | {"step_id": "gone", "position": "3", "remove": "on"},
        ECHO | {"step_id": "a", "position": "1"},
    ]
    editor.post(ADD, form(*rows))
    assert [s["step_id"] for s in publishing.current("article").definition["steps"]] == ["a", "b"]


def test_a_taken_id_is_said_at_the_id(editor: Client) -> None:
    workflow()
    answer = editor.post(ADD, form(ECHO))
    assert answer.context["editor"].save.non_field_errors() == ["A workflow of that id exists already."]


RICH = {
    "metadata": {"owner": "team"},
    "retry": {"max_delay_seconds": 5},
    "global_context": {"topic": "AI", "nested": {"list": [1, 2.5, None, "yes"]}},
    "parameters": {"type": "object", "properties": {"topic": {"type": "string"}}},
    "stop_on_failure": False,
}


def test_saving_without_a_change_keeps_every_key_and_makes_no_version(editor: Client) -> None:
    first = step(
        description="It writes.",
        parameters={"message": "a\n\nb ${context.topic}", "odd": "yes", "number": "1"},
        precondition='context.topic != ""',
        fallback={"result": {"text": ""}},
        max_retries=3,
    )
    stored = workflow(first, step("check", depends_on=["write"], continue_on_failure=True), **RICH)
    answer = editor.post(change(stored), sent_again(editor, stored))
    again = publishing.current("article")
    assert answer.status_code == 302
    assert again.definition == stored.definition
    assert list(again.definition["steps"][0]) == list(stored.definition["steps"][0])
    assert again.current is not None
    assert again.current.number == 1


def test_a_change_makes_a_version_and_keeps_what_the_form_has_no_field_for(editor: Client) -> None:
    stored = workflow(step(fallback={"result": {"text": ""}}), **RICH)
    changed = {"steps-0-max_retries": "7", "note": "more tries"}
    editor.post(change(stored), sent_again(editor, stored, **changed))
    again = publishing.current("article")
    assert again.current is not None
    assert (again.current.number, again.current.note) == (2, "more tries")
    assert again.definition["steps"] == [step(fallback={"result": {"text": ""}}, max_retries=7)]
    assert again.definition["metadata"] == {"owner": "team"}


def test_emptied_fields_go_from_the_definition(editor: Client) -> None:
    stored = workflow(step(parameters={"message": "x"}, fallback={"result": {}}), **RICH)
    emptied = {"other": "", "global_context": "", "steps-0-parameters": "", "steps-0-other": ""}
    editor.post(change(stored), sent_again(editor, stored, **emptied))
    definition = publishing.current("article").definition
    assert definition.keys() & {"metadata", "retry", "global_context"} == set()
    assert definition["steps"] == [step()]


BLOCKS: list[dict[str, Any]] = [
    step("write", generate=True),
    {
        "step_id": "gate",
        "step_name": "Gate",
        "if": "input.x == 1",
        "then": [step("a")],
        "else": [],
        "metadata": {"k": 1},
    },
    {
        "step_id": "sort",
        "switch": "input.kind",
        "cases": {"1": [step("b")], "yes": [step("c")]},
        "default": [step("d")],
    },
    {"step_id": "all", "for_each": "input.list", "as": "page", "steps": [step("e", parameters={"message": "${page}"})]},
    {
        "step_id": "again",
        "while": "input.x == 1",
        "steps": [step("f")],
        "max_iterations": 3,
        "continue_on_failure": True,
    },
    {"step_id": "both", "parallel": {"one": [step("g")], "two": [{"step_id": "w", "wait": {"seconds": 5}}]}},
    {"step_id": "child", "workflow": "other", "input": {"x": "${input.x}"}, "precondition": "input.x == 1"},
    {"step_id": "pause", "wait": {"until": "2026-01-31T09:30:00Z"}, "depends_on": ["gate"]},
    {"step_id": "ask", "approval": {"prompt": "Right?\n\nReally?", "options": ["yes", "no"]}},
    {"step_id": "paid", "wait_for": {"event": "paid", "timeout_seconds": 60}},
]


def with_blocks() -> Workflow:
    workflow(step(), workflow_id="other")
    return workflow(*BLOCKS)


def test_a_form_of_blocks_that_nobody_touched_makes_no_version(editor: Client) -> None:
    stored = with_blocks()
    page = editor.get(change(stored))
    rows = page.context["editor"].forms.steps.forms
    assert [row.block for row in rows] == [
        "", "if", "switch", "for_each", "while", "parallel", "workflow", "wait", "approval", "wait_for"
    ]  # fmt: skip
    assert 'data-block="for_each"' in page.content.decode()
    answer = editor.post(change(stored), sent_again(editor, stored))
    again = publishing.current("article")
    assert answer.status_code == 302
    assert again.current is not None
    assert (again.current.number, again.definition) == (1, stored.definition)
    assert [list(each) for each in again.definition["steps"]] == [list(each) for each in BLOCKS]


def test_a_block_is_changed_in_its_other_fields(editor: Client) -> None:
    stored = with_blocks()
    sent = sent_again(editor, stored) | {
        "steps-3-other": "for_each: input.all\nsteps: [{step_id: e, agent_id: content_creator, function_name: echo}]",
        "steps-4-step_name": "Once more",
        "steps-5-other": "wait: {seconds: 1}",
    }
    editor.post(change(stored), sent)
    steps = publishing.current("article").definition["steps"]
    assert steps[3] == {"step_id": "all", "for_each": "input.all", "steps": [step("e")]}
    assert steps[4] == BLOCKS[4] | {"step_name": "Once more"}
    assert steps[5] == {"step_id": "both", "wait": {"seconds": 1}}


def test_a_new_row_may_be_a_block(editor: Client) -> None:
    editor.post(ADD, form({"step_id": "pause", "other": "wait: {seconds: 1}"}))
    assert publishing.current("article").definition["steps"] == [{"step_id": "pause", "wait": {"seconds": 1}}]


def test_problems_inside_a_block_are_said_at_its_row(editor: Client) -> None:
    inner = "{step_id: i, agent_id: content_creater, function_name: echo}"
    rows = [
        {"step_id": "loop", "other": f"for_each: input.x +\nsteps: [{inner}]"},
        {"step_id": "gate", "other": f"if: input.x\nthen: [{inner.replace('er,', 'or,').replace('i,', 'j,')}, 5]"},
        ECHO | {"step_id": "two", "other": "wait: {seconds: 1}"},
        {"step_id": "slow", "timeout_seconds": "5", "other": "wait: {seconds: 1}"},
    ]
    shown = editor.post(ADD, form(*rows)).context["editor"]
    assert not Workflow.objects.exists()
    loop, gate, two, slow = (row.errors for row in shown.forms.steps.forms)
    assert "for_each: " in str(loop["other"])
    assert "steps[0].agent_id: there is no agent" in str(loop["other"]).replace("&quot;", '"')
    assert "then[1]: this must be an object" in str(gate["other"])
    assert set(two) == {"agent_id"}
    assert set(slow) == {"timeout_seconds"}


def test_a_change_of_somebody_else_is_not_overwritten(editor: Client) -> None:
    stored = workflow()
    mine = sent_again(editor, stored, workflow_name="Mine")
    editor.post(change(stored), sent_again(editor, stored, workflow_name="Theirs"))
    answer = editor.post(change(stored), mine)
    assert answer.status_code == 200
    assert "stored version" in answer.content.decode()
    assert publishing.current("article").name == "Theirs"


def test_the_id_of_a_stored_workflow_stays(editor: Client) -> None:
    stored = workflow()
    editor.post(change(stored), sent_again(editor, stored, workflow_id="other", workflow_name="New name"))
    assert publishing.current("article").name == "New name"


def test_who_may_only_look_gets_the_definition_and_no_form() -> None:
    stored = workflow()
    client = signed_in("workflows.view_workflow")
    page = client.get(change(stored))
    assert "data-editor" not in page.content.decode()
    assert "step_id: write" in page.content.decode()
    assert client.post(change(stored), form(ECHO)).status_code == 403
    assert client.get(ADD).status_code == 403


def test_an_unknown_workflow_is_not_found(editor: Client) -> None:
    assert editor.get("/admin/workflows/workflow/999/change/").status_code == 404
    assert editor.get("/admin/workflows/workflow/x/change/").status_code == 404


TEXT = """\
# What it is for.
workflow_id: article
steps:
  - step_id: write  # the first
    function_name: echo
    agent_id: content_creator
"""
LOOK = "/admin/workflows/workflow/look/"


def as_text(text: str, **fields: Any) -> dict[str, Any]:
    return {"view": "yaml", "text": text} | fields


def drawn(definition: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"view": "designer", "definition": json.dumps(definition)} | fields


def test_text_keeps_its_comments_and_the_order_of_its_keys(editor: Client) -> None:
    editor.post(ADD, as_text(TEXT.replace("\n", "\r\n")))
    stored = publishing.current("article")
    assert version().source == TEXT
    assert editor.get(change(stored)).context["editor"].text == TEXT
    rewritten = TEXT.replace("the first", "the only one")
    editor.post(change(stored), as_text(rewritten, version="1"))
    assert (version().number, version().source) == (2, rewritten)


def test_the_views_store_one_definition(editor: Client) -> None:
    definition = {"workflow_id": "article", "steps": [ECHO]}
    checksums = set()
    for sent in (as_text(TEXT), drawn(definition), form(ECHO)):
        editor.post(ADD, sent)
        checksums.add(version().checksum)
        publishing.archive("article", actor="tests")
    assert len(checksums) == 1


def test_text_that_is_wrong_is_shown_again_with_the_place(editor: Client) -> None:
    answer = editor.post(ADD, as_text(TEXT.replace("content_creator", "nobody")))
    assert answer.context["editor"].text.count("nobody") == 1
    [problem] = answer.context["editor"].problems
    assert (problem.line, problem.code) == (6, "agent_not_found")
    assert "line 6, column 15" in answer.content.decode()
    unreadable = editor.post(ADD, as_text("steps: [1"))
    assert unreadable.context["editor"].text == "steps: [1"
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    "sent", [as_text(TEXT.replace("article", "other")), drawn({"workflow_id": "other", "steps": [ECHO]})]
)
def test_no_view_changes_the_id_of_a_stored_workflow(editor: Client, sent: dict[str, Any]) -> None:
    stored = workflow()
    answer = editor.post(change(stored), sent | {"version": "1"})
    assert [problem.code for problem in answer.context["editor"].problems] == ["id_changed"]
    assert version().number == 1


def test_a_drawing_keeps_what_a_browser_would_change(editor: Client) -> None:
    stored = workflow(step(parameters={"message": "x", "weight": 1.0, "10": 1}))
    definition = stored.definition
    sent = json.loads(json.dumps(definition).replace("1.0", "1")) | {"description": "new"}
    editor.post(change(stored), drawn(sent, written=json.dumps(definition), version="1"))
    kept = publishing.current("article").definition["steps"][0]["parameters"]
    assert json.dumps(kept) == json.dumps({"message": "x", "weight": 1.0, "10": 1})


def test_looking_tells_problems_and_stores_nothing(editor: Client) -> None:
    found = editor.post(LOOK, as_text(TEXT.replace("echo", "ecko"))).json()
    assert [(problem["line"], problem["code"]) for problem in found["problems"]] == [(5, "function_not_found")]
    assert found["definition"]["steps"][0]["function_name"] == "ecko"
    assert editor.post(LOOK, as_text("[")).json()["definition"] is None
    at = editor.post(LOOK, as_text(TEXT + "  - step_id: next", at='["steps", 1]')).json()
    assert "steps.write.result" in at["reach"]
    assert (
        editor.post(LOOK, form(ECHO | {"parameters": "a: [1"})).json()["problems"][0]["path"] == "steps[0].parameters"
    )
    assert editor.post(LOOK, as_text("a: 9007199254740993")).json()["beyond"] == "a"
    assert not Workflow.objects.exists()


def test_only_who_may_edit_may_look() -> None:
    client = signed_in("workflows.view_workflow")
    assert client.post(LOOK, as_text(TEXT)).status_code == 403
    assert client.post("/admin/workflows/workflow/forms/", drawn({})).status_code == 403


@pytest.mark.parametrize("definition", [{"workflow_id": "w", "steps": [ECHO]}, {}, {"steps": 1}, {"steps": [1]}, [], 1])
def test_forms_are_drawn_of_anything(editor: Client, definition: Any) -> None:
    answer = editor.post("/admin/workflows/workflow/forms/", drawn(definition))
    assert answer.status_code == 200
    assert "data-step-template" in answer.content.decode()


def test_a_draft_is_kept_as_it_is_and_is_no_version(editor: Client) -> None:
    stored = workflow()
    answer = editor.post(change(stored), as_text("broken: [1", version="1", _draft="1"))
    page = editor.get(answer["Location"])
    assert page.context["editor"].text == "broken: [1"
    assert version().number == 1
    editor.post(
        answer["Location"], as_text("broken: [2", version="1", draft=str(page.context["editor"].draft), _draft="1")
    )
    [draft] = Draft.objects.all()
    assert draft.sent["text"] == "broken: [2"
    assert f"?draft={draft.pk}" in editor.get(change(stored)).content.decode()


def test_a_draft_ends_when_it_is_stored_or_discarded(editor: Client) -> None:
    stored = workflow()
    for end in ({"text": TEXT}, {"text": "x", "_discard": "1"}):
        editor.post(change(stored), as_text("x", version="1", _draft="1"))
        draft = Draft.objects.get()
        editor.post(change(stored), {"view": "yaml", "version": "1", "draft": str(draft.pk)} | end)
        assert not Draft.objects.exists()
    assert version().number == 2


def test_a_draft_is_its_owners_alone(editor: Client) -> None:
    stored = workflow()
    editor.post(change(stored), as_text("secret plans", version="1", _draft="1"))
    other = User.objects.create(username="other", is_staff=True, is_superuser=True)
    editor.force_login(other)
    draft = Draft.objects.get()
    shown = editor.get(f"{change(stored)}?draft={draft.pk}")
    assert "secret plans" not in shown.content.decode()
    editor.post(change(stored), as_text("x", version="1", draft=str(draft.pk), _discard="1"))
    assert Draft.objects.get() == draft


def test_what_somebody_stored_meanwhile_is_shown_and_can_be_stored_over(editor: Client) -> None:
    stored = workflow()
    mine = as_text(TEXT + "description: mine\n", version="1")
    editor.post(change(stored), as_text(TEXT + "description: theirs\n", version="1", note="a note"))
    refused = editor.post(change(stored), mine)
    assert [(row.what, row.before, row.after) for row in refused.context["rows"]] == [("description", "theirs", "mine")]
    assert "a note" in refused.content.decode()
    editor.post(change(stored), mine | {"over": "2"})
    assert publishing.current("article").description == "mine"
    assert version().number == 3


TRY = "/admin/workflows/workflow/try/"


def test_a_try_starts_a_run_of_what_was_sent(editor: Client) -> None:
    told = editor.post(TRY, as_text(TEXT, input="tone: dry", series="s")).json()
    run = Run.objects.get(pk=told["run"])
    assert (run.trigger, run.actor, run.input) == ("try", "person", {"tone": "dry"})
    assert told["page"] == f"/admin/workflows/run/{run.pk}/change/"
    assert not Workflow.objects.active().exists()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (as_text(TEXT.replace("echo", "ecko"), series="s"), "Mend the problems first"),
        (as_text(TEXT, input="a: [", series="s"), "line 2"),
        (as_text(TEXT + "parameters: {required: [topic]}\n", series="s"), "topic"),
    ],
)
def test_a_try_that_can_not_start_says_why(editor: Client, sent: dict[str, Any], said: str) -> None:
    assert said in " ".join(editor.post(TRY, sent).json()["errors"])
    assert not Run.objects.exists()


def test_only_who_may_edit_and_run_may_try() -> None:
    client = signed_in("workflows.view_workflow", "workflows.change_workflow")
    assert client.post(TRY, as_text(TEXT, series="s")).status_code == 403


def test_a_workflow_is_duplicated_under_an_id_of_its_own(editor: Client) -> None:
    stored = workflow()
    shown = editor.get(f"{ADD}?like={stored.pk}").context["editor"]
    assert shown.value == stored.definition | {"workflow_id": "article_copy"}
    assert editor.get(f"{ADD}?like=nonsense").context["editor"].value == {}


@pytest.mark.parametrize(
    ("format", "begins"), [("yaml", TEXT), ("json", '{\n  "workflow_id"'), ("mmd", "flowchart"), ("svg", "<svg")]
)
def test_a_workflow_is_exported(editor: Client, format: str, begins: str) -> None:
    editor.post(ADD, as_text(TEXT))
    answer = editor.get(f"/admin/workflows/workflow/{publishing.current('article').pk}/export/{format}/")
    assert answer.content.decode().startswith(begins)
    assert f'filename="article.{format}"' in answer["Content-Disposition"]


def test_an_export_is_imported_as_the_same(editor: Client) -> None:
    editor.post(ADD, as_text(TEXT))
    text = editor.get(f"/admin/workflows/workflow/{publishing.current('article').pk}/export/json/").content.decode()
    found = editor.post(LOOK, as_text(text)).json()
    assert found["definition"] == publishing.current("article").definition


def test_an_earlier_version_is_run(editor: Client) -> None:
    stored = workflow()
    editor.post(change(stored), as_text(TEXT + "description: new\n", version="1"))
    address = f"/admin/workflows/workflow/{stored.pk}/run/"
    editor.post(f"{address}?version=1", {"input": ""})
    assert Run.objects.get().version.number == 1
    assert editor.get(f"{address}?version=9").status_code == 404
