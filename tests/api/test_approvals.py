"""Questions to people, and their answers; events from outside."""

import json
from collections import Counter
from typing import Any

import pytest
import requests
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from tests.api.client import Api
from tests.api.live import Server
from tests.api.shape import BASE, data_of, refused
from tests.api.test_races import at_once
from tests.factories import make_workflow, step
from workflows import engine_thread, follow, runs
from workflows.models import Run, RunRequest, StepResult

APPROVALS = "/api/v1/approvals"
RUNS = "/api/v1/runs"


def approval(step_id: str = "gate", **fields: Any) -> dict[str, Any]:
    return {"step_id": step_id, "approval": {"prompt": "Publish ${context.topic}?", **fields}}


def asking(*steps: dict[str, Any], **fields: Any) -> Run:
    """A run that has come to where it waits for people or events, by default for one approval."""
    workflow = make_workflow(*(steps or [approval()]), **{"global_context": {"topic": "owls"}, **fields})
    return waiting(runs.execute(workflow, {}, actor="tester"))


def waiting(run: Run) -> Run:
    assert follow.wait_until_settled(run.pk) == "waiting"
    return runs.get(run.pk)


def person(name: str, *groups: str, permissions: tuple[str, ...] = ("view_run", "change_run")) -> User:
    user = User.objects.create_user(name)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    user.groups.set([Group.objects.get_or_create(name=group)[0] for group in groups])
    return user


def as_person(user: User) -> Api:
    api = Api()
    api.force_login(user)
    return api


def paths(api: Api, query: str = "") -> list[str]:
    return [entry["path"] for entry in data_of(api.get(f"{APPROVALS}{query}"))]


def signal(api: Api, run: Run, **body: Any) -> Any:
    return api.post(f"{RUNS}/{run.pk}/signal", body)


def test_what_waits_for_a_person_is_listed_and_goes_on_with_the_answer(api: Api) -> None:
    run = asking(
        approval(options=["yes", "no"], timeout_seconds=3600), step("b", parameters={"message": "${context.answer}"})
    )
    (entry,) = data_of(api.get(APPROVALS))
    row = run.steps.get()
    assert row.started_at is not None
    assert row.due_at is not None
    assert entry == {
        "execution_id": str(run.pk),
        "workflow_id": "sample",
        "workflow_name": "sample",
        "path": "gate",
        "step_id": "gate",
        "step_name": "gate",
        "prompt": "Publish owls?",
        "options": ["yes", "no"],
        "assignees": [],
        "waiting_since": row.started_at.isoformat().replace("+00:00", "Z"),
        "until": row.due_at.isoformat().replace("+00:00", "Z"),
        "answer_url": f"{RUNS}/{run.pk}/signal",
    }
    answered = data_of(api.post(entry["answer_url"], {"path": "gate", "answer": "yes", "comment": "well done"}))
    assert answered == {"execution_id": str(run.pk), "path": "gate", "answer": "yes"}
    assert follow.wait_until_settled(run.pk) == "completed"
    results = {entry["path"]: entry["result_data"] for entry in data_of(api.get(f"{RUNS}/{run.pk}/steps"))}
    assert results["gate"] == {"answer": "yes", "comment": "well done", "answered_by": "local"}
    assert results["b"]["echo"] == "yes"
    assert paths(api) == []


def test_an_answer_is_in_the_events_with_who_gave_it(api: Api) -> None:
    run = asking()
    data_of(signal(as_person(person("anna")), run, path="gate", answer="approve"))
    assert follow.wait_until_settled(run.pk) == "completed"
    events = {event["type"]: event for event in data_of(api.get(f"{RUNS}/{run.pk}/events"))}
    asked, answered = events["step_waiting"], events["approval_answered"]
    assert (asked["kind"], asked["prompt"], asked["options"]) == ("approval", "Publish owls?", ["approve", "reject"])
    assert (answered["actor"], answered["path"], answered["answer"]) == ("anna", "gate", "approve")
    assert "run_woken" in events


def test_a_question_with_an_answer_under_way_is_not_listed(api: Api) -> None:
    run = asking(approval("Gate"), max_execution_time_seconds=60)
    runs.pause(run.pk, actor="tester")  # so that nobody takes the answer
    assert paths(api) == ["Gate"]
    RunRequest.objects.create(run=run, verb="answer", actor="x", arguments={"path": "gate", "answer": '"path":"Gate"'})
    assert paths(api) == ["Gate"]
    data_of(signal(api, run, path="Gate", answer="approve"))
    assert paths(api) == []


def test_a_question_whose_time_is_over_is_not_listed_and_takes_no_answer(api: Api) -> None:
    run = asking(approval(timeout_seconds=3600))
    runs.pause(run.pk, actor="tester")
    run.steps.update(due_at=timezone.now())
    assert paths(api) == []
    assert "over" in refused(signal(api, run, path="gate", answer="approve"), 409, "RunStateConflict")["error"]


def test_the_second_answer_is_told_who_was_first(api: Api) -> None:
    run = asking()
    runs.pause(run.pk, actor="tester")
    data_of(signal(as_person(person("anna")), run, path="gate", answer="approve"))
    refusal = refused(signal(api, run, path="gate", answer="reject"), 409, "RunStateConflict")
    assert "anna answered step gate with 'approve' already" in refusal["error"]
    runs.resume(run.pk, actor="tester")
    engine_thread.offer(run.pk)
    assert follow.wait_until_settled(run.pk) == "completed"
    refusal = refused(signal(api, run, path="gate", answer="reject"), 409, "RunStateConflict")
    assert "anna answered step gate with 'approve' already" in refusal["error"]


def test_of_answers_at_once_the_first_counts(server: Server) -> None:
    run = asking(approval(options=[str(number) for number in range(8)]))
    address = server.url(f"{RUNS}/{run.pk}/signal")
    answers = at_once(8, lambda n: requests.post(address, json={"path": "gate", "answer": str(n)}, timeout=30))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    (first,) = (data_of(answer)["answer"] for answer in answers if answer.status_code == 200)
    assert follow.wait_until_settled(run.pk) == "completed"
    assert run.steps.get().result["answer"] == first


def test_only_those_who_are_asked_may_answer() -> None:
    anna, ben, chris = person("anna"), person("ben", "editors"), person("chris", "anna")
    viewer = person("viewer", "editors", permissions=("view_run",))
    asking(approval("one", assignees=["anna"]))
    for given, may in (
        (["anna"], {anna}),
        (["group:editors", "someone else"], {ben}),
        (["group:anna", "ben"], {ben, chris}),
        ([], {anna, ben, chris}),
    ):
        run = waiting(runs.execute(Run.objects.latest("pk").workflow, {}, actor="tester"))
        StepResult.objects.filter(run=run).update(parameters={**run.steps.get().parameters, "assignees": given})
        for user in (anna, ben, chris, viewer):
            api = as_person(user)
            code = signal(api, run, path="one", answer="nonsense").status_code  # 400: it is only the answer
            assert code == (400 if user in may else 403), (given, user)
            assert (str(run.pk) in mine(api)) == (user in may), (given, user)


def mine(api: Api) -> list[str]:
    return [entry["execution_id"] for entry in data_of(api.get(f"{APPROVALS}?mine=true"))]


def test_superusers_and_the_local_operator_may_answer_always(api: Api) -> None:
    run = asking(approval("one", assignees=["anna"]), approval("two", assignees=["anna"]))
    root = as_person(User.objects.create_superuser("root"))
    assert mine(root) == mine(api) == [str(run.pk)]
    data_of(signal(root, run, path="one", answer="approve"))
    waiting(run)
    data_of(signal(api, run, path="two", answer="approve"))


def test_a_refusal_names_who_is_asked() -> None:
    run = asking(approval(assignees=["anna", "group:editors"]))
    refusal = refused(signal(as_person(person("ben")), run, path="gate", answer="approve"), 403, "NotAsked")
    assert "anna, group:editors, not ben" in refusal["error"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("workflow=sample", True),
        ("workflow=other", False),
        ("assignee=anna", True),
        ("assignee=ann", False),
        ("assignee=group:zoë", True),
        ('assignee=q"u.o[t]e', True),
        ("assignee=approve", False),
        ("assignee=.*", False),
        ("mine=true", True),
        ("mine=false&assignee=anna", True),
    ],
)
def test_approvals_are_filtered(api: Api, query: str, found: bool) -> None:
    asking(approval(assignees=['q"u.o[t]e', "anna", "group:zoë"]))
    assert paths(api, f"?{query}") == (["gate"] if found else [])


def test_approvals_come_in_pages_the_longest_waiting_first(api: Api) -> None:
    gates = {name: [approval(name)] for name in ("a", "b", "c")}
    asking({"step_id": "all", "parallel": gates})
    first = api.get(f"{APPROVALS}?page_size=2").json()
    assert first["count"] == 3
    rest = api.get(first["next"]).json()["data"]
    assert [entry["path"] for entry in [*first["data"], *rest]] == ["all.a", "all.b", "all.c"]
    for query in ("cursor=cD14", "mine=perhaps", "assignees=anna", "page=2"):
        refused(api.get(f"{APPROVALS}?{query}"), 400, "InvalidRequest")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ""),
        ({"path": "gate"}, "answer"),
        ({"answer": "approve"}, "path"),
        ({"comment": "x"}, "path"),
        ({"data": 1}, "event"),
        ({"path": "gate", "answer": "approve", "event": "x"}, ""),
        ({"path": "gate", "answer": "approve", "data": None}, ""),
        ({"path": "gate", "answr": "approve"}, "answr"),
        ({"path": "gate", "answer": ""}, "answer"),
        ({"path": "gate", "answer": ["approve"]}, "answer"),
        ({"path": "gate", "answer": "approve", "comment": "x" * 10_001}, "comment"),
        ({"path": "x" * 501, "answer": "approve"}, "path"),
        ({"event": "x" * 201}, "event"),
        ({"event": "x", "data": "x" * 64 * 1024}, "data"),
        ([], ""),
        ("text", ""),
    ],
)
def test_what_is_no_signal_is_refused_with_its_place(api: Api, body: Any, place: str) -> None:
    run = asking()
    refusal = refused(api.post(f"{RUNS}/{run.pk}/signal", json.dumps(body)), 400, "InvalidRequest")
    assert place in {problem["path"] for problem in refusal["errors"]}
    assert not run.requests.exists()


def test_an_answer_that_is_no_option_is_refused_with_the_options(api: Api) -> None:
    run = asking(approval(options=["yes", " no "]))
    for wrong in ("approve", "Yes", "no"):
        assert "yes,  no " in refused(signal(api, run, path="gate", answer=wrong), 400, "AnswerRefused")["error"]
    data_of(signal(api, run, path="gate", answer=" no "))


def test_what_is_not_there_or_does_not_wait_is_refused(api: Api) -> None:
    run = asking(step("a"), approval())
    assert 'did you mean "gate"?' in refused(signal(api, run, path="gat", answer="x"), 404, "ApprovalNotFound")["error"]
    assert "function" in refused(signal(api, run, path="a", answer="x"), 409, "RunStateConflict")["error"]
    runs.cancel(run.pk, actor="tester")
    refused(signal(api, run, path="gate", answer="approve"), 409, "RunStateConflict")
    for body in ({"path": "gate", "answer": "x"}, {"event": "x"}):
        refused(api.post(f"{RUNS}/nonsense/signal", body), 404, "RunNotFound")


def test_a_question_that_was_never_asked_takes_no_answer(api: Api) -> None:
    broken = approval("broken") | {"continue_on_failure": True}
    broken["approval"] = {"prompt": "${context.nothing}"}
    run = asking(approval("skipped") | {"precondition": "false"}, broken, approval())
    for path, status in (("skipped", "skipped"), ("broken", "failed")):
        refusal = refused(signal(api, run, path=path, answer="approve"), 409, "RunStateConflict")
        assert f"it is {status}" in refusal["error"]
    assert paths(api) == ["gate"]


def wait_for(event: str, step_id: str = "event") -> dict[str, Any]:
    return {"step_id": step_id, "wait_for": {"event": event}}


def test_an_event_ends_the_wait_for_it(api: Api) -> None:
    run = asking(wait_for("paid"))
    answer = data_of(signal(api, run, event="paid", data={"sum": 3}), 202)
    assert answer == {"execution_id": str(run.pk), "event": "paid"}
    assert follow.wait_until_settled(run.pk) == "completed"
    (entry,) = data_of(api.get(f"{RUNS}/{run.pk}/steps"))
    assert entry["result_data"] == {"event": "paid", "data": {"sum": 3}}
    events = {event["type"]: event for event in data_of(api.get(f"{RUNS}/{run.pk}/events"))}
    assert (events["event_received"]["event"], events["event_received"]["actor"]) == ("paid", "local")
    assert (events["step_waiting"]["kind"], events["step_waiting"]["event"]) == ("wait_for", "paid")
    refused(signal(api, run, event="paid"), 409, "RunStateConflict")


def test_an_event_that_no_step_waits_for_is_refused_with_those_there_are(api: Api) -> None:
    nested = {"step_id": "if", "if": "false", "then": [wait_for("shipped", "inner")]}
    run = asking(approval(), nested, wait_for("paid"))
    refusal = refused(signal(api, run, event="payed"), 404, "EventNotFound")
    assert 'did you mean "paid"?; its steps wait for paid, shipped' in refusal["error"]
    data_of(signal(api, run, event="shipped"), 202)


def test_an_event_whose_name_is_known_only_later_is_taken(api: Api) -> None:
    run = asking(approval(), wait_for("order ${context.topic}"))
    data_of(signal(api, run, event="order owls"), 202)
    data_of(signal(api, run, path="gate", answer="approve"))
    assert follow.wait_until_settled(run.pk) == "completed"


def test_signals_need_the_permission_to_steer_runs(api: Api) -> None:
    run = asking()
    viewer = as_person(person("viewer", permissions=("view_run",)))
    refused(signal(viewer, run, path="gate", answer="approve"), 403, "PermissionDenied")
    assert paths(viewer) == ["gate"]
    assert paths(viewer, "?mine=true") == []
    steering = as_person(person("steering", permissions=("change_run",)))
    refused(steering.get(APPROVALS), 403, "PermissionDenied")
    data_of(signal(steering, run, path="gate", answer="approve"))


def test_execute_answers_202_where_a_person_is_asked(api: Api) -> None:
    make_workflow(approval(), global_context={"topic": "owls"})
    answer = data_of(api.post(f"{BASE}/sample/execute"), 202)
    assert "is waiting" in answer["message"]
    run = answer["execution_id"]
    assert [entry["execution_id"] for entry in data_of(api.get(APPROVALS))] == [run]
