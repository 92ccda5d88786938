"""A held run and its steps as their writer knows them, with the change that is not written yet."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agents.artifacts import MOST, Room, bytes_of_a_run
from workflows import changes
from workflows.changes import Change
from workflows.errors import LeaseLost
from workflows.models import Run
from workflows.models.run import StepResult, idempotency_key
from workflows.outcomes import Usage
from workflows.states import RUN_ENDED, STEP_ENDED, StepStatus

RUN_COLUMNS = (
    "successful_steps", "failed_steps", "skipped_steps", "retried_steps", "planned_steps", "input_tokens",
    "output_tokens", "cost",
)  # fmt: skip


@dataclass(slots=True)
class HeldStep:
    """A step of a held run, as far as later transitions need it."""

    path: str
    kind: str = "function"
    status: str = StepStatus.PENDING
    attempt: int = 0
    attempts: list[dict[str, Any]] = field(default_factory=list)
    discards: int = 0
    started_at: datetime | None = None
    attempt_started_at: datetime | None = None
    duration_ms: float = 0
    waited_ms: float = 0
    usage: Usage = field(default_factory=Usage)
    logs: list[dict[str, Any]] = field(default_factory=list)
    stored: bool = False

    @classmethod
    def of(cls, row: StepResult) -> "HeldStep":
        return cls(
            path=row.path,
            kind=row.kind,
            status=row.status,
            attempt=row.attempt,
            attempts=row.attempts,
            discards=row.discards,
            started_at=row.started_at,
            duration_ms=row.duration_ms,
            waited_ms=row.waited_ms,
            usage=Usage(row.input_tokens, row.output_tokens, row.cost),
            logs=row.logs,
            stored=True,
        )

    @property
    def is_under_way(self) -> bool:
        """Whether an attempt has begun and not ended."""
        return self.status == StepStatus.RUNNING and len(self.attempts) < self.attempt

    @property
    def failed_attempts(self) -> int:
        """Attempts that count against ``max_retries``: not those cut short by a lost or stopping worker."""
        return sum(1 for attempt in self.attempts if not attempt.get("interrupted"))


@dataclass(slots=True)
class HeldRun:
    """A run as its writer knows it, with the change that is not written yet."""

    id: uuid.UUID
    epoch: int
    status: str
    seq: int
    head: str
    actor: str
    counts: dict[str, Any]
    counted: dict[str, Any] = field(default_factory=dict)  # of the counts, what is stored or in a change
    attempt: int = 1
    recoveries: int = 0
    started_at: datetime | None = None
    deadline_at: datetime | None = None
    paused_at: datetime | None = None
    parent: tuple[uuid.UUID, str] | None = None  # run and path that wait for the end of this one
    steps: dict[str, HeldStep] = field(default_factory=dict)
    discards: Mapping[str, int] = field(default_factory=dict)  # path → results that a `retry` discarded
    artifacts: tuple[int, int] = (0, 0)  # how many are stored, and their bytes
    room: Room = field(default_factory=Room)  # for more of them
    change: Change | None = None
    streamed: tuple[int, int] = (0, 0)  # an event's number, and characters of text since then

    @classmethod
    def of(cls, row: Run, actor: str) -> "HeldRun":
        return cls(
            id=row.pk,
            epoch=row.epoch,
            status=row.status,
            seq=row.event_seq,
            head=row.event_head,
            actor=actor,
            counts={name: getattr(row, name) for name in RUN_COLUMNS},
            counted={name: getattr(row, name) for name in RUN_COLUMNS},
            attempt=row.attempt,
            recoveries=row.recoveries,
            started_at=row.started_at,
            deadline_at=row.deadline_at,
            paused_at=row.paused_at,
            parent=(row.parent_id, row.parent_path) if row.parent_id else None,
            artifacts=(row.artifact_count, row.artifact_bytes),
            room=Room(bytes_of_a_run() - row.artifact_bytes, MOST - row.artifact_count),
        )

    def step(self, path: str, kind: str = "function") -> HeldStep:
        """The step at the path; ``kind`` is that of one which has not begun."""
        if path not in self.steps:
            self.steps[path] = HeldStep(path, kind, discards=self.discards.get(path, 0))
        return self.steps[path]

    @property
    def is_open(self) -> bool:
        """Whether the run goes on, here or elsewhere."""
        return self.status not in RUN_ENDED

    @property
    def has_family(self) -> bool:
        """Whether other runs have to do with how this one goes on: its parent, or its children."""
        return self.parent is not None or any(step.kind == "workflow" for step in self.steps.values())

    def idempotency_key(self, path: str) -> str:
        return idempotency_key(self.id, path, self.step(path).discards)

    def place(self, text: str) -> dict[str, int]:
        """Where text that is stored now stands in the run's stream: after which event, and how far behind it."""
        seq, offset = self.streamed if self.streamed[0] == self.seq else (self.seq, 0)
        self.streamed = (seq, offset + len(text))
        return {"seq": seq, "offset": offset}

    def open(self) -> Change:
        """The change being made, begun at need."""
        if self.change is None:
            self.change = Change(self.id, self.epoch, self.seq)
        return self.change

    def take(self) -> Change | None:
        """The change, to be written by the caller; a new one begins."""
        change, self.change = self.change, None
        return change


def load(row: Run, actor: str) -> HeldRun:
    """The run as a writer needs it, with its steps that have not ended."""
    held = HeldRun.of(row, actor)
    for step in row.steps.filter(superseded=False).exclude(status__in=STEP_ENDED):
        held.steps[step.path] = HeldStep.of(step)
    return held


def write(run: HeldRun) -> None:
    """Write the run's change at once. Raises `LeaseLost` if someone else has moved the run."""
    change = run.take()
    if change is not None and changes.write([change]):
        raise LeaseLost(f"run {run.id} was changed by someone else")
