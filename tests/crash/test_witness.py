"""The witness finds what it is there for."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.crash import witness
from tests.crash.conftest import StartSite
from tests.crash.site import Site
from tests.factories import make_workflow, step
from workflows import runs
from workflows.models import StepResult

DONE, LOST = {"number": 1}, {"number": 1, "interrupted": "worker lost"}
FAILED = {"number": 1, "error_code": "FunctionFailed"}
DIED = {"number": 1, "error_code": "HelperDied"}
WORKER, STALLED = 11, 12


@pytest.fixture
def site(start_site: StartSite) -> Site:
    return start_site("sqlite")


def record(site: Site, attempts: Sequence[dict], effects: Sequence[tuple[float, int]]) -> list[str]:
    """A completed step with these attempts, and effects so many seconds after its end, by these processes."""
    workflow = make_workflow(step("a", "effect", {"folder": str(site.effects)}))
    run = runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
    ended = timezone.now()
    row = StepResult.objects.create(
        run=run, path="a", step_id="a", function="effect", status="completed", ended_at=ended,
        attempt=len(attempts), attempts=list(attempts),
    )  # fmt: skip
    lines = [f"{(ended + timedelta(seconds=after)).timestamp():.6f} {pid}\n" for after, pid in effects]
    (site.effects / row.idempotency_key).write_text("".join(lines))
    return witness.hear(site.effects, {STALLED}).broken


@pytest.mark.parametrize(
    ("attempts", "effects"),
    [
        ([DONE], [(-1, WORKER)]),
        ([FAILED, DONE], [(-2, WORKER), (-1, WORKER)]),
        ([LOST, DONE], [(-1, WORKER)]),
        ([LOST, DONE], [(-2, WORKER), (-1, WORKER)]),
        ([DIED, DONE], [(-2, WORKER), (-1, WORKER)]),
        ([LOST, DONE], [(-1, WORKER), (1, STALLED)]),
    ],
)
def test_it_agrees_with_what_may_be(site: Site, attempts: list[dict], effects: list[tuple[float, int]]) -> None:
    assert record(site, attempts, effects) == []


@pytest.mark.parametrize(
    ("attempts", "effects", "said"),
    [
        ([DONE], [], "0 effects"),
        ([DONE], [(-2, WORKER), (-1, WORKER)], "2 effects"),
        ([FAILED, DONE], [(-1, WORKER)], "1 effects"),
        ([LOST, DONE], [(-3, WORKER), (-2, WORKER), (-1, WORKER)], "3 effects"),
        ([DONE], [(1, WORKER)], "after its end"),
        ([LOST, DONE], [(-1, WORKER), (1, WORKER)], "after its end"),
    ],
)
def test_it_finds_what_may_not_be(
    site: Site, attempts: list[dict], effects: list[tuple[float, int]], said: str
) -> None:
    (broken,) = record(site, attempts, effects)
    assert said in broken


def test_an_effect_without_a_record_is_found(site: Site) -> None:
    (site.effects / "nobody:a").write_text(f"1.0 {WORKER}\n")
    assert witness.hear(site.effects, set()).broken == ["nobody:a: 1 effects, and no record of the step"]
