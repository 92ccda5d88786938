"""Blocks in blocks, made by hypothesis: whatever happens to their workers, they come to the same."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agents import catalog
from agents.models import Agent
from tests import nests, scripted
from tests.crash import effects, oracle, witness
from tests.factories import make_workflow, step
from tests.workflows.lives import ENDS, Life, give_what_is_waited_for, live
from workflows import audit, invariants, runs
from workflows.errors import StepNotFound
from workflows.models import Event, Run
from workflows.recall import recalled
from workflows.results import context_at

VARIABLE = {"executions", "until", "data", "attempts", "duration_ms", "seen", "parameters"}
COUNTERS = ("successful_steps", "failed_steps", "skipped_steps", "total_steps")
EVERYTHING = (*nests.LEAVES_ALONE, *nests.LEAVES_OUTSIDE)
LOOK = step("look", "give", {"value": {"seen": "${steps}"}})
"""The last step of each: what expressions saw there."""

few = settings(
    max_examples=5,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # an example takes too long to be made smaller
    suppress_health_check=list(HealthCheck),
)
lives = st.lists(st.builds(Life, st.integers(1, 8), st.sampled_from(ENDS)), min_size=1, max_size=4)


@pytest.fixture(autouse=True)
def prepared(agent: None, settings: Any) -> None:
    """The agent offers counted functions, there is a child workflow, and no run is given up."""
    settings.MAX_RECOVERIES = 1_000
    Agent.objects.update(functions=[*scripted.NAMES, *effects.NAMES, "echo"])
    catalog.forget()


class Nests:
    """Runs of definitions whose effects are counted in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        counted = [step(name, "effect", {"folder": str(folder)}) for name in ("first", "second")]
        make_workflow(*counted, workflow_id=nests.CHILD)
        self._made = 0

    def started(self, steps: Sequence[dict[str, Any]]) -> Run:
        self._made += 1
        workflow = make_workflow(*steps, LOOK, workflow_id=f"nest{self._made}")
        return runs.start(workflow, {}, trigger="api", actor="ann", wake=False)

    def carried_out(self, run: Run, lives: Sequence[Life] = ()) -> Run:
        """The run after all lives, and a last one that goes on until its end."""
        for life in (*lives, None):
            live(life, give_what_is_waited_for)
        return self.examined(run)

    def examined(self, run: Run) -> Run:
        """The run, of which everything holds that must hold of a run that has ended."""
        ended = runs.get(run.pk)
        family = [ended, *ended.children.all()]
        assert not oracle.all_complaints(family)
        assert not list(invariants.broken(settled=True, run_ids=[one.pk for one in family]))
        assert not [one.pk for one in family if audit.first_broken(one.pk) is not None]
        assert not witness.hear(self.folder, set()).broken
        return ended


@pytest.fixture
def site(prepared: None, tmp_path: Path) -> Nests:
    return Nests(tmp_path)


def outcome(run: Run) -> dict[str, Any]:
    """What a run has come to, without what no two runs have in common."""
    rows = run.steps.filter(superseded=False)
    return {
        "status": run.status,
        "counters": {name: getattr(run, name) for name in COUNTERS},
        "steps": scrubbed({row.path: [row.status, row.error_code, row.result] for row in rows}),
        "context": scrubbed(context_at(run)),
    }


def scrubbed(value: Any) -> Any:
    if isinstance(value, dict):
        return {plain(key): scrubbed(below) for key, below in value.items() if key not in VARIABLE}
    if isinstance(value, list):
        return [scrubbed(below) for below in value]
    return plain(value) if isinstance(value, str) else value


def plain(text: str) -> str:
    """Ids of generated steps are other ones each time; an attempt that was cut short counts as an execution."""
    return re.sub(r"failure \d+ of", "failure of", re.sub(r"(made\d+)_[0-9a-f]{16}", r"\1", text))


def seen(run: Run) -> Any:
    return run.steps.get(path="look", superseded=False).result["seen"]


@few
@given(data=st.data())
def test_a_nest_comes_to_the_same_however_often_its_worker_is_lost(site: Nests, data: st.DataObject) -> None:
    steps = data.draw(nests.nests(str(site.folder), leaves=EVERYTHING))
    undisturbed = site.carried_out(site.started(steps))
    assert undisturbed.status == "completed", undisturbed.error_message
    disturbed = site.carried_out(site.started(steps), data.draw(lives))
    assert outcome(disturbed) == outcome(undisturbed)
    assert scrubbed(seen(disturbed)) == scrubbed(seen(undisturbed))


@few
@given(data=st.data())
def test_what_a_failure_cut_off_looks_the_same_to_whoever_goes_on(site: Nests, data: st.DataObject) -> None:
    """Live and from the rows: no expression can tell whether another worker went on."""
    steps = data.draw(nests.nests(str(site.folder), torn=True))
    run = site.carried_out(site.started(steps), data.draw(lives))
    assert run.status == "completed", run.error_message
    assert scrubbed(seen(run)) == scrubbed(recalled(run, "look").steps)


@few
@given(data=st.data())
def test_a_nest_that_failed_is_completed_by_a_retry_from_anywhere(site: Nests, data: st.DataObject) -> None:
    steps = data.draw(nests.nests(str(site.folder), leaves=EVERYTHING))
    undisturbed = site.carried_out(site.started(steps))
    counted = sorted({row.step_id for row in undisturbed.steps.filter(step_id__regex="^(counted|score)")})
    if not counted:
        return
    failing = data.draw(st.sampled_from(counted))
    run = site.carried_out(site.started(made_to_fail(steps, failing)))
    assert (run.status, run.error_code) == ("failed", "ValidationFailed")
    before = {row.path: row.pk for row in run.steps.all()}
    places = sorted({*before, *(path.rpartition(".")[0] for path in before if "]." in path)} - {""})
    begin_again(run, data.draw(st.none() | st.sampled_from(places)))
    run = site.carried_out(run, data.draw(lives))
    assert outcome(run) == outcome(undisturbed)
    discarded = set(Event.objects.get(run=run, type="run_retried").data["discarded"])
    after = {row.path: row.pk for row in run.steps.filter(superseded=False)}
    assert {path for path, key in before.items() if after.get(path) != key} == discarded


def made_to_fail(steps: Any, step_id: str) -> Any:
    """The same steps, of which one passes only after a `retry`."""
    if isinstance(steps, list):
        return [made_to_fail(below, step_id) for below in steps]
    if not isinstance(steps, dict):
        return steps
    made = {key: made_to_fail(below, step_id) for key, below in steps.items()}
    if made.get("step_id") == step_id:
        made |= {"validation": "run.attempt > 1", "max_retries": 0}
    return made


def begin_again(run: Run, start_at: str | None) -> None:
    try:
        runs.retry(run.pk, actor="ann", start_at=start_at)
    except StepNotFound:  # it stands behind the one that failed
        runs.retry(run.pk, actor="ann")
