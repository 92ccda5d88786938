"""Loops that hold runs, and what other processes ask of them."""

import uuid
from datetime import datetime
from typing import Self

from django.db import models

from workflows.models.fields import JSONText


class WorkerQuerySet(models.QuerySet["Worker"]):
    def live(self, now: datetime) -> Self:
        """Workers whose lease has not expired at ``now`` (the database's clock)."""
        return self.filter(expires_at__gt=now)


class Worker(models.Model):
    """One process that may hold runs, and holds them until ``expires_at`` unless it renews."""

    class Kind(models.TextChoices):
        WORKER = "worker"  # a loop in a django-q2 worker
        WEB = "web"  # the loop of a web process
        LOCAL = "local"  # a loop that carries out one run: the builder's run(), run_workflow
        PACEMAKER = "pacemaker"  # `manage.py worker` itself: holds no runs, and says that its machine is served

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    host = models.CharField(max_length=200)
    machine = models.CharField(max_length=64, default="")  # whose process ids `pid` belongs to
    claiming = models.BooleanField(default=True)  # false: it ends with its last run
    pid = models.PositiveIntegerField()
    parent_pid = models.PositiveIntegerField(default=0)  # the cluster that a loop belongs to
    # When the process started, in clock ticks since boot: tells a reused pid from the process that registered.
    process_started = models.BigIntegerField(default=0)
    started_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.kind} {self.host}:{self.pid}"


class RunRequest(models.Model):
    """What others want of a run: a verb for its holder, or what one of its steps waits for.

    The holder turns it into a transition and deletes it in the same commit.
    """

    class Verb(models.TextChoices):
        CANCEL = "cancel"
        PAUSE = "pause"
        RESUME = "resume"
        ANSWER = "answer"  # {path, answer, comment}
        EVENT = "event"  # {event, data}
        CHILD = "child"  # {path}: the child run of that step has ended

    run = models.ForeignKey("Run", on_delete=models.CASCADE, related_name="requests")
    verb = models.CharField(max_length=20, choices=Verb.choices)
    actor = models.CharField(max_length=200)
    arguments = JSONText(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.verb} {self.run_id}"


class AgentShare(models.Model):
    """How much of an agent's ``max_concurrent_jobs`` one loop has taken for its runs, and how much it would take."""

    agent = models.ForeignKey("agents.Agent", on_delete=models.CASCADE, related_name="shares")
    worker = models.ForeignKey(Worker, on_delete=models.CASCADE, related_name="shares")
    held = models.PositiveIntegerField(default=0)
    wanted = models.PositiveIntegerField(default=0)
    waiting_since = models.DateTimeField(null=True)  # it wants more than it has

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agent", "worker"], name="agent_share_unique")]

    def __str__(self) -> str:
        return f"{self.held} of {self.agent_id} by {self.worker_id}"
