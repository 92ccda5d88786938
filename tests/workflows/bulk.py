"""Many ended runs at once, with chains that hold, for tests of what looks after them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tests.factories import make_definition, step
from workflows import publishing
from workflows.audit import EventRow, make_event
from workflows.models import Event, Run, StepResult

STORY: list[tuple[str, str, dict[str, Any]]] = [
    ("run_created", "", {}),
    ("run_started", "", {"epoch": 1}),
    ("step_start", "a", {"attempt": 1}),
    ("step_complete", "a", {"success": True}),
    ("workflow_complete", "", {"status": "completed", "success": True}),
]


def ended_runs(number: int, ended_at: datetime, **columns: Any) -> list[Run]:
    """Completed runs of one step, as if they had ended then."""
    workflow = publishing.save(make_definition(step("a")), actor="tester")
    runs = [_run(workflow, ended_at, columns) for _ in range(number)]
    chains = {run.pk: list(_chain(run, ended_at)) for run in runs}
    for run in runs:
        run.event_seq, run.event_head = len(STORY), chains[run.pk][-1].hash
    Run.objects.bulk_create(runs)
    StepResult.objects.bulk_create(_result(run, ended_at) for run in runs)
    Event.objects.bulk_create(_stored(event) for chain in chains.values() for event in chain)
    return runs


def _run(workflow: Any, ended_at: datetime, columns: dict[str, Any]) -> Run:
    fields = {"status": "completed", "success": True, "created_at": ended_at, "ended_at": ended_at, **columns}
    return Run(workflow=workflow, version=workflow.current, successful_steps=1, total_steps=1, epoch=1, **fields)


def _chain(run: Run, at: datetime) -> Iterator[EventRow]:
    head = ""
    for seq, (type, path, content) in enumerate(STORY, 1):
        event = make_event(head, run.pk, seq, type, at, "tester", path, content)
        head = event.hash
        yield event


def _stored(event: EventRow) -> Event:
    content = STORY[event.seq - 1][2]
    return Event(
        run_id=event.run_id, seq=event.seq, type=event.type, at=event.at, actor=event.actor, path=event.path,
        data=content, hash=event.hash,
    )  # fmt: skip


def _result(run: Run, ended_at: datetime) -> StepResult:
    return StepResult(
        run=run, path="a", step_id="a", status="completed", result={"text": "x" * 1000}, ended_at=ended_at
    )
