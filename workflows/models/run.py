"""Runs and the results of their steps."""

import os
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.db.models import Q

from workflows.definitions.models import Definition
from workflows.models.fields import JSONText
from workflows.models.worker import Worker
from workflows.models.workflow import Workflow, WorkflowVersion, parsed_version
from workflows.states import RUN_ACTIVE, RUN_ENDED, RunStatus, StepStatus

USED_A_MODEL = Q(input_tokens__gt=0) | Q(output_tokens__gt=0) | Q(cost__gt=0)
"""Step results on the way to which a model was asked."""

AWAITS_A_HOLDER = Q(worker__isnull=True, due_at__isnull=False)

HAS_FAILED = Q(status__in=[RunStatus.FAILED, RunStatus.TIMED_OUT])


def new_run_id() -> uuid.UUID:
    """A UUID version 7 (RFC 9562): 48 bits of Unix milliseconds, then random bits; sorts by time."""
    value = int.from_bytes(os.urandom(10))
    milliseconds = time.time_ns() // 1_000_000
    random_a, random_b = value >> 68, value & ((1 << 62) - 1)
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | random_a << 64 | 2 << 62 | random_b)


def first_run_id(moment: datetime) -> uuid.UUID:
    """The smallest id of `new_run_id` at that time or later."""
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80 | 7 << 76)


class RunQuerySet(models.QuerySet["Run"]):
    def active(self) -> Self:
        """Runs that have not ended."""
        return self.filter(status__in=RUN_ACTIVE)

    def ended(self) -> Self:
        return self.filter(status__in=RUN_ENDED)

    def due(self, now: datetime) -> Self:
        """Runs without holder whose time has come, in the order in which they are claimed."""
        return self.filter(worker__isnull=True, due_at__lte=now).order_by("-priority", "due_at", "id")

    def lease_expired(self, now: datetime) -> Self:
        """Runs whose holder did not renew in time."""
        return self.filter(worker__isnull=False, worker__expires_at__lte=now)

    def held(self, now: datetime) -> Self:
        """Runs under a live lease: those that count against limits."""
        return self.filter(worker__isnull=False, worker__expires_at__gt=now)

    def expected(self, now: datetime) -> Self:
        """Runs that have not ended, but for those that were put off and have not begun."""
        return self.active().exclude(started_at__isnull=True, due_at__gt=now)


class Run(models.Model):
    """One execution of a workflow version. Until it has ended, it has a live holder, a ``due_at`` or a named wait."""

    id = models.UUIDField(primary_key=True, default=new_run_id, editable=False)
    # Every index of its own costs each run; those of Meta serve these keys too, or only rows that have one.
    workflow = models.ForeignKey(Workflow, on_delete=models.PROTECT, related_name="runs", db_index=False)
    version = models.ForeignKey(WorkflowVersion, on_delete=models.PROTECT, related_name="runs", db_index=False)
    status = models.CharField(max_length=12, choices=RunStatus.choices, default=RunStatus.QUEUED)
    trigger = models.CharField(max_length=20, default="api")
    actor = models.CharField(max_length=200, default="")
    priority = models.SmallIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=1)
    input = JSONText(default=dict)

    # Lease: who holds the run; every write is conditional on the epoch, which each claim raises.
    worker = models.ForeignKey(Worker, null=True, on_delete=models.SET_NULL, related_name="runs", db_index=False)
    epoch = models.PositiveIntegerField(default=0)
    recoveries = models.PositiveIntegerField(default=0)  # workers lost in a row, without a step completed between
    # When a run without holder is to be claimed: for queued runs since when, for waiting ones the end of the wait.
    due_at = models.DateTimeField(null=True)

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(
        null=True
    )  # since when no time counts: paused, or it waits for people or events only
    rerun_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="reruns", db_index=False)
    # A child: the run whose step `parent_path` waits for this one, and how many runs stand above it.
    parent = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="children", db_index=False)
    parent_path = models.CharField(max_length=500, blank=True, db_default="", default="")
    depth = models.PositiveSmallIntegerField(db_default=0, default=0)

    current_step = models.CharField(max_length=500, blank=True, default="")
    total_steps = models.PositiveIntegerField(default=0)
    # As far as is known by now: with all iterations and generated steps, without the branches not taken.
    planned_steps = models.PositiveIntegerField(db_default=0, default=0)
    successful_steps = models.PositiveIntegerField(default=0)
    failed_steps = models.PositiveIntegerField(default=0)
    skipped_steps = models.PositiveIntegerField(default=0)
    retried_steps = models.PositiveIntegerField(default=0)
    success = models.BooleanField(null=True)
    partial = models.BooleanField(default=False)
    error_code = models.CharField(max_length=100, blank=True, default="")
    error_message = models.TextField(blank=True, default="")
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost = models.FloatField(default=0)

    # Audit chain of this run: number and hash of its newest event.
    event_seq = models.PositiveIntegerField(default=0)
    event_head = models.CharField(max_length=64, blank=True, default="")
    # Files that its functions made, those of superseded results too.
    artifact_count = models.PositiveIntegerField(db_default=0, default=0)
    artifact_bytes = models.PositiveBigIntegerField(db_default=0, default=0)
    profile = models.BooleanField(db_default=False, default=False)  # whether its plain functions are profiled
    sealed = models.BooleanField(db_default=False, default=False)  # the site's chain has this chain's head

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], name="run_due", condition=AWAITS_A_HOLDER),
            models.Index(fields=["-priority", "due_at", "id"], name="run_in_line", condition=AWAITS_A_HOLDER),
            models.Index(fields=["worker"], name="run_held", condition=Q(worker__isnull=False)),
            models.Index(fields=["rerun_of"], name="run_again", condition=Q(rerun_of__isnull=False)),
            models.Index(fields=["parent"], name="run_child", condition=Q(parent__isnull=False)),
            models.Index(fields=["workflow", "-id"], name="run_of_workflow"),
            models.Index(fields=["status", "-id"], name="run_by_status"),
            models.Index(fields=["actor", "-id"], name="run_of_person"),
            models.Index(fields=["trigger", "-id"], name="run_by_trigger"),
            models.Index(fields=["error_code", "-id"], name="run_by_error", condition=~Q(error_code="")),
            models.Index(
                fields=["due_at"],
                name="run_suspect",
                condition=Q(worker__isnull=True, due_at__isnull=False, recoveries__gt=0),
            ),
            models.Index(fields=["ended_at"], name="run_ended", condition=Q(ended_at__isnull=False)),
            models.Index(fields=["actor", "-ended_at"], name="run_failed_of_person", condition=HAS_FAILED),
            models.Index(fields=["id"], name="run_unsealed", condition=Q(ended_at__isnull=False, sealed=False)),
        ]

    def __str__(self) -> str:
        return str(self.id)

    @property
    def has_ended(self) -> bool:
        return self.status in RUN_ENDED

    @property
    def definition(self) -> Definition:
        """The definition that it started with."""
        return parsed_version(self.version_id)

    @property
    def executed_steps(self) -> int:
        return self.successful_steps + self.failed_steps

    @property
    def known_steps(self) -> int:
        """Steps that it has or will have, as far as is known by now: those of the definition before its first claim."""
        return self.planned_steps or self.total_steps

    @property
    def progress(self) -> float:
        """Share of the steps, as far as they are known, that have ended, from 0 to 1."""
        ended = self.executed_steps + self.skipped_steps
        if self.status == RunStatus.COMPLETED:
            return 1.0
        return min(1.0, ended / self.known_steps) if self.known_steps else 0.0

    def discards(self) -> dict[str, int]:
        """Path → how many completed results of it a `retry` has discarded: part of later idempotency keys."""
        discarded = self.steps.filter(superseded=True, status=StepStatus.COMPLETED)
        return dict(discarded.order_by().values_list("path").annotate(models.Count("pk")))

    def execution_ms(self, now: datetime) -> float:
        """Milliseconds from the first claim to the end, or to ``now``."""
        if self.started_at is None:
            return 0.0
        return ((self.ended_at or now) - self.started_at).total_seconds() * 1000


class StepResult(models.Model):
    """What one execution of a step did. At most one row of a (run, path) is not superseded."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="steps")
    path = models.CharField(max_length=500)
    step_id = models.CharField(max_length=100)
    kind = models.CharField(max_length=10, db_default="function", default="function")  # of definitions.models
    name = models.CharField(max_length=500, default="")
    agent = models.CharField(max_length=200, default="")
    function = models.CharField(max_length=200, default="")
    status = models.CharField(max_length=12, choices=StepStatus.choices)
    superseded = models.BooleanField(default=False)
    # How often a result of this path was discarded before: part of the idempotency key.
    discards = models.PositiveIntegerField(default=0)

    parameters = JSONText(null=True)  # as rendered, secrets masked; of a block: what it decided
    result = JSONText(null=True)
    error_code = models.CharField(max_length=100, default="")
    error_message = models.TextField(default="")
    reason = models.CharField(max_length=100, default="")  # why it was skipped, or where its result came from
    # Ended attempts, in order: {number, started_at, ended_at, error, error_code, trace, retry_in, interrupted}
    attempts = JSONText(default=list)
    attempt = models.PositiveIntegerField(default=0)  # the newest attempt's number, counted before it starts
    logs = JSONText(default=list)

    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)  # end of its wait, if it has one
    ended_seq = models.PositiveIntegerField(null=True)  # number of the event that ended it: the order of ending
    duration_ms = models.FloatField(default=0)
    waited_ms = models.FloatField(db_default=0, default=0)  # in line for the agent, all attempts together
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost = models.FloatField(default=0)
    cpu_seconds = models.FloatField(null=True)  # of the helper process, where there was one
    peak_memory_bytes = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["run", "id"]
        constraints = [
            models.UniqueConstraint(fields=["run", "path"], condition=Q(superseded=False), name="step_result_unique")
        ]
        indexes = [
            models.Index(fields=["error_code"], name="step_by_error", condition=~Q(error_code="")),
            models.Index(fields=["run"], name="step_result_asked", condition=Q(kind="approval", status="waiting")),
            # All that a sum of usage reads: the rows are large.
            models.Index(
                fields=["agent", "started_at", "input_tokens", "output_tokens", "cost"],
                name="step_usage",
                condition=USED_A_MODEL,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.path}"

    @property
    def idempotency_key(self) -> str:
        """``<run id>:<path>``, with ``:<n>`` after its result was discarded n times."""
        return idempotency_key(self.run_id, self.path, self.discards)


class StartKey(models.Model):
    """An ``Idempotency-Key`` under which somebody started a run: for a day, the same key means the same run."""

    actor = models.CharField(max_length=200)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)  # of what was asked for
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="start_keys")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor", "key"], name="start_key_unique")]

    def __str__(self) -> str:
        return self.key


def next_attempt_at(attempts: Sequence[dict[str, Any]]) -> datetime:
    """When the attempt after these may begin: the last has ended, and the wait that follows it."""
    last = attempts[-1]
    return datetime.fromisoformat(last["ended_at"]) + timedelta(seconds=last.get("retry_in", 0))


def idempotency_key(run_id: uuid.UUID, path: str, discards: int) -> str:
    return f"{run_id}:{path}" + (f":{discards}" if discards else "")
