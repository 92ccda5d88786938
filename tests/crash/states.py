"""Runs, each in another state at the same time, and what became of each after one disturbance."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from tests.crash import witness
from tests.crash.hosts import Host
from tests.crash.load import persistently
from tests.crash.processes import alive
from tests.crash.site import Site
from tests.factories import make_workflow, step
from tests.workers.conftest import wait_for
from workflows import runs
from workflows.models import Run
from workflows.states import RunStatus

STATES = (
    "queued",
    "running",
    "between attempts",
    "waiting",
    "paused",
    "in a helper",
    "waiting for a person",
    "waiting for a child",
    "in a parallel branch",
)
PASSING = ("queued", "between attempts")  # over soon: prepared when all others are there
LONG = {
    "running": ["a"],
    "in a helper": ["a"],
    "in a parallel branch": ["both.a", "both.c"],
    "waiting for a child": ["a"],
}
PATHS = {"in a parallel branch": "both.a"}  # of the step ``a``
CHILD = "called"
HELPER_STARTS = 5.0  # seconds, at most, until others are in their states
LATER = {"between attempts": -6.0, "in a helper": HELPER_STARTS}  # seconds from the deadline of others to theirs
UNDER_WAY = 10.0  # seconds that a step under way takes
SHORT = 0.2


@dataclass(slots=True)
class Became:
    """One run after the disturbance. ``effects`` and ``cut_short`` are of its step ``a``, or of its child's."""

    status: str
    child: str  # status of its child, if it has one
    effects: int
    cut_short: int
    followed: bool  # the step after it was executed, once
    seconds: float  # from the disturbance to the end; for a paused run, to its resuming


@dataclass(slots=True)
class Prepared:
    """The runs by state, and the helper processes at work when they were disturbed."""

    site: Site
    by_state: dict[str, Run] = field(default_factory=dict)
    helpers: set[int] = field(default_factory=set)
    disturbed: float = 0.0

    def ids(self) -> list[Any]:
        return [run.pk for run in self.by_state.values()]


def prepare(site: Site, host: Host, deadline: float) -> Prepared:
    """Start the runs and wait until each is in its state. ``deadline`` in seconds, of all of them."""
    prepared = Prepared(site)
    slow = UNDER_WAY if deadline > 60 else 30.0
    far = 14.0 if deadline > 60 else 60.0
    near = 4.5 if deadline > 60 else 4.9

    def start(state: str, *steps: dict[str, Any], **options: Any) -> None:
        limit = deadline + LATER.get(state, 0.0) if deadline < 60 else deadline
        workflow = make_workflow(*steps, workflow_id=state.replace(" ", "_"), max_execution_time_seconds=limit)
        prepared.by_state[state] = runs.start(workflow, {}, trigger="api", actor="tester", **options)

    def a(function: str = "effect", seconds: float = SHORT, **fields: Any) -> dict[str, Any]:
        failures = fields.pop("failures", 0)
        return step("a", function, {"folder": str(site.effects), "seconds": seconds, "failures": failures}, **fields)

    def retried_after(seconds: float) -> dict[str, Any]:
        return {"failures": 1, "retry": {"initial_delay_seconds": seconds, "jitter": "none"}}

    b = step("b", "effect", {"folder": str(site.effects)})
    before = step("before", "effect", {"folder": str(site.effects), "seconds": 2 * SHORT})
    start("paused", before, a(), b)
    runs.pause(prepared.by_state["paused"].pk, actor="tester")
    start("waiting for a person", {"step_id": "ask", "approval": {"prompt": "Go on?", "options": ["yes"]}}, a(), b)
    start("in a helper", a("effect_plain", slow + HELPER_STARTS), b)  # first: processes take long to start
    wait_for(lambda: _all_there(prepared, host), 30)
    start("waiting", a(**retried_after(far)), b)
    start("running", a(seconds=slow), b)
    make_workflow(a(seconds=slow), workflow_id=CHILD)
    start("waiting for a child", {"step_id": "call", "workflow": CHILD}, b)
    beside = {"x": [a(seconds=slow)], "y": [step("c", "effect", {"folder": str(site.effects)})]}
    start("in a parallel branch", {"step_id": "both", "parallel": beside}, b)
    wait_for(lambda: _all_there(prepared, host), 30)
    start("between attempts", a(**retried_after(near)), b)
    start("queued", a(), b, run_at=timezone.now() + timedelta(seconds=4))
    wait_for(lambda: _all_there(prepared, host), 15)
    prepared.helpers = host.helpers()
    return prepared


def settle(prepared: Prepared, seconds: float = 45.0) -> dict[str, Became]:
    """Wait until all have ended, but for those that are paused or ask somebody, who then acts; what became of each."""
    persistently(lambda: wait_for(lambda: not _going_on(prepared), seconds))
    resumed = time.time()
    paused = prepared.by_state["paused"]
    persistently(paused.refresh_from_db)
    if paused.status == RunStatus.PAUSED:
        runs.resume(paused.pk, actor="tester")
    asking = prepared.by_state["waiting for a person"]
    asking.refresh_from_db()
    if not asking.has_ended:
        runs.answer(asking.pk, "ask", "yes", actor="tester")
    wait_for(lambda: not Run.objects.active().filter(pk__in=prepared.ids()).exists(), 20)
    counted = witness.effects_in(prepared.site.effects)
    return {
        state: _became(run, PATHS.get(state, "a"), counted, prepared.disturbed, resumed)
        for state, run in prepared.by_state.items()
    }


def helpers_left(prepared: Prepared) -> set[int]:
    return alive(prepared.helpers)


def _all_there(prepared: Prepared, host: Host) -> bool:
    """Whether each that was started is in its state, with its step ``a`` under way where it is to be."""
    status = dict(Run.objects.filter(pk__in=prepared.ids()).values_list("pk", "status"))
    wanted = {"queued": "queued", "paused": "paused"}
    wanted |= dict.fromkeys(("waiting", "waiting for a person", "waiting for a child"), "waiting")
    in_state = all(status[run.pk] == wanted.get(state, "running") for state, run in prepared.by_state.items())
    return in_state and _under_way(prepared) and _is_between_attempts(prepared) and bool(host.helpers())


def _under_way(prepared: Prepared) -> bool:
    """Whether the steps that take long have begun, of runs that were started."""
    begun = witness.effects_in(prepared.site.effects).keys()
    return all(f"{run.pk}:{path}" in begun for run, path in _awaited(prepared))


def _awaited(prepared: Prepared) -> Iterator[tuple[Run, str]]:
    for state, paths in LONG.items():
        if run := prepared.by_state.get(state):
            yield from ((run.children.first() or run, path) for path in paths)


def _is_between_attempts(prepared: Prepared) -> bool:
    run = prepared.by_state.get("between attempts")
    return run is None or run.steps.filter(path="a", status="retrying").exists()


def _going_on(prepared: Prepared) -> bool:
    rows = Run.objects.active().exclude(status=RunStatus.PAUSED).filter(pk__in=prepared.ids())
    return rows.exclude(pk=prepared.by_state["waiting for a person"].pk, status=RunStatus.WAITING).exists()


def _became(
    run: Run, path: str, counted: Mapping[str, list[witness.Effect]], disturbed: float, resumed: float
) -> Became:
    run.refresh_from_db()
    child = run.children.first()
    worker = child or run  # whose step it is
    row = worker.steps.filter(path=path, superseded=False).first()
    ended = run.ended_at.timestamp() if run.ended_at else resumed
    return Became(
        status=run.status,
        child=child.status if child else "",
        effects=len(counted.get(f"{worker.pk}:{path}", [])),
        cut_short=sum(1 for attempt in row.attempts if "interrupted" in attempt) if row else 0,
        followed=len(counted.get(f"{run.pk}:b", [])) == 1,
        seconds=min(ended, resumed) - disturbed,
    )
