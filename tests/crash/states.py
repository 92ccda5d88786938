"""Six runs, each in another state at the same time, and what became of each after one disturbance."""

import time
from collections.abc import Mapping
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
from workflows.models import Run, StepResult
from workflows.states import RunStatus

STATES = ("queued", "running", "between attempts", "waiting", "paused", "in a helper")
UNDER_WAY = 4.0  # seconds that a step under way takes
SHORT = 0.2


@dataclass(slots=True)
class Became:
    """One run after the disturbance. ``effects`` and ``cut_short`` are of its step ``a``."""

    status: str
    effects: int
    cut_short: int
    followed: bool  # the step after it was executed, once
    seconds: float  # from the disturbance to the end; for a paused run, to its resuming


@dataclass(slots=True)
class Six:
    """The runs by state, and the helper processes at work when they were disturbed."""

    site: Site
    by_state: dict[str, Run] = field(default_factory=dict)
    helpers: set[int] = field(default_factory=set)
    disturbed: float = 0.0

    def ids(self) -> list[Any]:
        return [run.pk for run in self.by_state.values()]


def prepare(site: Site, host: Host, deadline: float) -> Six:
    """Start the six and wait until each is in its state. ``deadline`` in seconds, of all of them."""
    six = Six(site)
    slow = UNDER_WAY if deadline > 60 else 30.0
    far = 6.0 if deadline > 60 else 60.0
    near = 4.5 if deadline > 60 else 4.9

    def start(state: str, *steps: dict[str, Any], **options: Any) -> None:
        workflow = make_workflow(*steps, workflow_id=state.replace(" ", "_"), max_execution_time_seconds=deadline)
        six.by_state[state] = runs.start(workflow, {}, trigger="api", actor="tester", **options)

    def a(function: str = "effect", seconds: float = SHORT, **fields: Any) -> dict[str, Any]:
        failures = fields.pop("failures", 0)
        return step("a", function, {"folder": str(site.effects), "seconds": seconds, "failures": failures}, **fields)

    def retried_after(seconds: float) -> dict[str, Any]:
        return {"failures": 1, "retry": {"initial_delay_seconds": seconds, "jitter": "none"}}

    b = step("b", "effect", {"folder": str(site.effects)})
    before = step("before", "effect", {"folder": str(site.effects), "seconds": 2 * SHORT})
    start("paused", before, a(), b)
    runs.pause(six.by_state["paused"].pk, actor="tester")
    start("waiting", a(**retried_after(far)), b)
    start("in a helper", a("effect_plain", slow), b)
    start("running", a(seconds=slow), b)
    start("between attempts", a(**retried_after(near)), b)
    start("queued", a(), b, run_at=timezone.now() + timedelta(seconds=4))
    wait_for(lambda: _all_there(six, host), 15)
    six.helpers = host.helpers()
    return six


def settle(six: Six, seconds: float = 45.0) -> dict[str, Became]:
    """Wait until all have ended, but for a paused one, which is then resumed; what became of each."""
    persistently(lambda: wait_for(lambda: not _going_on(six), seconds))
    resumed = time.time()
    paused = six.by_state["paused"]
    persistently(paused.refresh_from_db)
    if paused.status == RunStatus.PAUSED:
        runs.resume(paused.pk, actor="tester")
        wait_for(lambda: not Run.objects.active().filter(pk__in=six.ids()).exists(), 20)
    counted = witness.effects_in(six.site.effects)
    return {state: _became(run, counted, six.disturbed, resumed) for state, run in six.by_state.items()}


def helpers_left(six: Six) -> set[int]:
    return alive(six.helpers)


def _all_there(six: Six, host: Host) -> bool:
    status = dict(Run.objects.filter(pk__in=six.ids()).values_list("pk", "status"))
    steps = dict(StepResult.objects.filter(run__in=six.ids(), path="a").values_list("run", "status"))
    wanted = {"queued": "queued", "waiting": "waiting", "paused": "paused"}
    in_state = all(status[run.pk] == wanted.get(state, "running") for state, run in six.by_state.items())
    begun = {state: steps.get(run.pk) for state, run in six.by_state.items()}
    under_way = begun["running"] == begun["in a helper"] == "running" and begun["between attempts"] == "retrying"
    effects = witness.effects_in(six.site.effects)
    return in_state and under_way and f"{six.by_state['in a helper'].pk}:a" in effects and bool(host.helpers())


def _going_on(six: Six) -> bool:
    return Run.objects.active().exclude(status=RunStatus.PAUSED).filter(pk__in=six.ids()).exists()


def _became(run: Run, counted: Mapping[str, list[witness.Effect]], disturbed: float, resumed: float) -> Became:
    run.refresh_from_db()
    row = run.steps.filter(path="a", superseded=False).first()
    ended = run.ended_at.timestamp() if run.ended_at else resumed
    return Became(
        status=run.status,
        effects=len(counted.get(f"{run.pk}:a", [])),
        cut_short=sum(1 for attempt in row.attempts if "interrupted" in attempt) if row else 0,
        followed=len(counted.get(f"{run.pk}:b", [])) == 1,
        seconds=min(ended, resumed) - disturbed,
    )
