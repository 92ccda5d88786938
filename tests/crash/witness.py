"""What was seen from outside, held against what is recorded.

The rule, for each idempotency key under which counted functions were called, over the stored results that have it (a
`retry` of the run keeps the key of a step that had come to nothing):

1. No effect without a record: an attempt is counted before it begins.
2. At most one effect for each attempt that was started: ``effects <= attempts``.
3. One effect for each attempt that ended by itself, in success or failure; so a completed step had its effect at least
   once, and exactly once unless an attempt was cut short. Of an attempt cut short by a lost or stopping worker, a
   timeout, a cancel or the death of its helper nobody can tell: none or one.
4. No effect after the step's end was recorded. A process that was stalled past its lease is the exception: between its
   waking and its noticing there are instructions, so its effects are counted apart. That is what idempotency keys are
   for.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash import effects
from workflows.models import StepResult

COUNTED = (*effects.NAMES, "http_request")
CUT_SHORT = frozenset({"StepTimeout", "RunDeadlineExceeded", "Cancelled", "HelperDied", "TooManyRecoveries"})


@dataclass(frozen=True, slots=True)
class Effect:
    """One execution: Unix seconds, and the loop that made it, itself or by a helper (0: unknown, behind HTTP)."""

    at: float
    pid: int


@dataclass(slots=True)
class Testimony:
    """``broken``: one line for each breach of the rule."""

    broken: list[str] = field(default_factory=list)
    effects: int = 0
    repeated: int = 0  # effects beyond the first of a step's attempts that were cut short
    late: int = 0  # effects of stalled processes after the step's end


def effects_in(folder: Path) -> dict[str, list[Effect]]:
    """Idempotency key → its executions, in order."""
    return {file.name: [_effect(line) for line in file.read_text().splitlines()] for file in folder.iterdir()}


def hear(folder: Path, stalled: set[int]) -> Testimony:
    """Hold everything counted in ``folder`` against the rows. ``stalled``: processes that were stopped for a while."""
    said = Testimony()
    unrecorded = effects_in(folder)
    recorded: dict[str, list[StepResult]] = defaultdict(list)
    for row in StepResult.objects.filter(function__in=COUNTED).order_by("pk"):
        recorded[row.idempotency_key].append(row)
    for key, rows in recorded.items():
        _compare(key, rows, unrecorded.pop(key, []), stalled, said)
    said.broken += [f"{key}: {len(seen)} effects, and no record of the step" for key, seen in unrecorded.items()]
    return said


def _compare(key: str, rows: list[StepResult], seen: list[Effect], stalled: set[int], said: Testimony) -> None:
    attempts = [attempt for row in rows for attempt in row.attempts]
    started = sum(row.attempt for row in rows)
    certain = sum(1 for attempt in attempts if _ended_by_itself(attempt))
    said.effects += len(seen)
    said.repeated += max(0, len(seen) - max(certain, 1))
    if not certain <= len(seen) <= started:
        said.broken.append(
            f"{key} ({rows[-1].status}): {len(seen)} effects, with {started} attempts started, "
            f"of which {certain} ended by themselves"
        )
    end = rows[-1].ended_at
    for effect in seen:
        if end is None or effect.at <= end.timestamp():
            continue
        if certain < started and (effect.pid in stalled or (effect.pid == 0 and stalled)):
            said.late += 1
        else:
            said.broken.append(f"{key}: an effect by {effect.pid} {effect.at - end.timestamp():.3f} s after its end")


def _ended_by_itself(attempt: dict[str, Any]) -> bool:
    return "interrupted" not in attempt and attempt.get("error_code") not in CUT_SHORT


def _effect(line: str) -> Effect:
    at, pid = line.split()
    return Effect(float(at), int(pid))
