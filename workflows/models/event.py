"""The audit trail: one hash chain per run, one for everything else; and streamed text, which is not part of it."""

from django.db import models

from workflows.models.fields import JSONText
from workflows.models.run import Run


class Event(models.Model):
    """One fact, appended and never changed. ``seq`` counts from 1 in its chain, without gap."""

    run = models.ForeignKey(Run, null=True, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=50)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    path = models.CharField(max_length=500, default="")
    data = JSONText(default=dict)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["id"]
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
