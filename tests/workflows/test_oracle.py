"""The oracle of the crash tests finds what it is there for."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.crash import oracle
from tests.factories import run_to_end, step
from workflows.models import Run, StepResult

STEPS: list[dict[str, Any]] = [
    {"step_id": "gate", "if": "true", "then": [step("a"), step("b")], "else": [step("c")]},
    {"step_id": "each", "for_each": "[1, 2]", "steps": [step("d")]},
    {"step_id": "both", "parallel": {"x": [step("e")], "y": [step("f")]}},
]


def without(path: str) -> Callable[[Run], object]:
    return lambda run: run.steps.filter(path=path).delete()


def beside(path: str) -> Callable[[Run], object]:
    return lambda run: StepResult.objects.create(run=run, path=path, step_id="x", status="completed")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without("gate.b"), ["gate.b: not executed"]),
        (without("each[1].d"), ["each[1].d: not executed"]),
        (without("both.f"), ["both.f: not executed"]),
        (beside("gate.c"), ["gate.c: executed, and nothing led to it"]),
        (beside("each[2].d"), ["each[2].d: executed, and nothing led to it"]),
        (lambda run: run.steps.filter(path="both.e").update(status="running"), ["both.e: running in an ended run"]),
    ],
)
def test_a_step_too_few_or_too_many_is_found(spoil: Callable[[Run], object], said: list[str]) -> None:
    run = run_to_end(*STEPS)
    assert not oracle.complaints(run)
    spoil(run)
    found = oracle.complaints(run)
    assert len(found) == len(said)
    assert all(part in complaint for complaint, part in zip(found, said, strict=True))
