"""The audit trail: one hash chain per run, one for everything else; and streamed text, which is not part of it."""

from django.db import models

from workflows.models.fields import JSONText
from workflows.models.run import Run

MACHINES = ["worker:", "web:", "local:"]
"""How the names of engines begin, which write most events."""

BY_PEOPLE = models.Q(*(~models.Q(actor__startswith=machine) for machine in MACHINES))
FREQUENT = ["step_start", "step_complete"]
CANCELLATION = models.Q(type="workflow_complete", data__contains='"status":"cancelled"')
"""Who cancelled what: nothing else in this event's data can look like that, as quotation marks are escaped."""


class Event(models.Model):
    """One fact, appended and never changed. ``seq`` counts from 1 in its chain, without gap."""

    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="events", db_index=False)
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=50)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    path = models.CharField(max_length=500, default="")
    data = JSONText(default=dict)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
        # For the audit trail's filters. None has what engines write at each step, so that steps pay for none of them.
        indexes = [
            models.Index(fields=["type", "id"], name="event_by_type", condition=~models.Q(type__in=FREQUENT)),
            models.Index(fields=["actor", "id"], name="event_by_person", condition=BY_PEOPLE),
            models.Index(fields=["id"], name="event_cancellation", condition=CANCELLATION),
        ]
        constraints = [
            models.UniqueConstraint(fields=["run", "seq"], name="event_seq_unique"),
            models.UniqueConstraint(fields=["seq"], condition=models.Q(run__isnull=True), name="site_event_seq_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class SiteChain(models.Model):
    """The head of the chain of events that belong to no run. One row, locked while it moves."""

    seq = models.PositiveBigIntegerField(default=0)
    head = models.CharField(max_length=64, default="")

    def __str__(self) -> str:
        return f"site chain at {self.seq}"


class StreamText(models.Model):
    """A piece of text that a running attempt has written; deleted when the step has ended.

    ``seq`` and ``offset`` are its place in the run's stream, in which the texts of attempts at once are mixed.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="stream_texts")
    path = models.CharField(max_length=500)
    attempt = models.PositiveIntegerField()
    seq = models.PositiveIntegerField(db_default=0, default=0)  # number of the run's event before this piece
    offset = models.PositiveIntegerField()  # characters of text between the two
    text = models.TextField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.run_id}:{self.path}@{self.offset}"
