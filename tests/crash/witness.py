"""What was seen from outside, held against what is recorded.

The rule, for each stored step result that a counted function made (its key is its idempotency key):

1. No effect without a record: an attempt is counted before it begins.
2. At most one effect for each attempt that was started: ``effects <= attempt``.
3. One effect for each attempt that ended by itself, in success or failure; so a completed step had its effect at least
   once, and exactly once unless an attempt was cut short. Of an attempt cut short by a lost or stopping worker, a
   timeout, a cancel or the death of its helper nobody can tell: none or one.
4. No effect after the step's end was recorded. A process that was stalled past its lease is the exception: between its
   waking and its noticing there are instructions, so its effects are counted apart. That is what idempotency keys are
   for.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workflows.models import StepResult

COUNTED = ("effect", "effect_plain", "effect_crash", "http_request")
CUT_SHORT = frozenset({"StepTimeout", "RunDeadlineExceeded", "Cancelled", "HelperDied", "TooManyRecoveries"})


@dataclass(frozen=True, slots=True)
class Effect:
    """One execution: Unix seconds, and the process (0: unknown, behind HTTP)."""

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
    for row in StepResult.objects.filter(function__in=COUNTED):
        _compare(row, unrecorded.pop(row.idempotency_key, []), stalled, said)
    said.broken += [f"{key}: {len(seen)} effects, and no record of the step" for key, seen in unrecorded.items()]
    return said


def _compare(row: StepResult, seen: list[Effect], stalled: set[int], said: Testimony) -> None:
    certain = sum(1 for attempt in row.attempts if _ended_by_itself(attempt))
    said.effects += len(seen)
    said.repeated += max(0, len(seen) - max(certain, 1))
    if not certain <= len(seen) <= row.attempt:
        said.broken.append(
            f"{row.idempotency_key} ({row.status}): {len(seen)} effects, with {row.attempt} attempts started, "
            f"of which {certain} ended by themselves"
        )
    if row.ended_at is None:
        return
    cut_short = any(not _ended_by_itself(attempt) for attempt in row.attempts)
    for effect in seen:
        if effect.at > row.ended_at.timestamp():
            if cut_short and (effect.pid in stalled or (effect.pid == 0 and stalled)):
                said.late += 1
            else:
                after = effect.at - row.ended_at.timestamp()
                said.broken.append(f"{row.idempotency_key}: an effect by {effect.pid} {after:.3f} s after its end")


def _ended_by_itself(attempt: dict[str, Any]) -> bool:
    return "interrupted" not in attempt and attempt.get("error_code") not in CUT_SHORT


def _effect(line: str) -> Effect:
    at, pid = line.split()
    return Effect(float(at), int(pid))
