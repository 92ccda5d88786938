"""Stored templates, and batches of workflows to make from one."""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from workflows.models.fields import JSONText
from workflows.models.run import new_run_id
from workflows.states import RowStatus


class Template(models.Model):
    """A definition with `${params.…}` in it, and the JSON Schema of what stands for them."""

    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True, default="")
    parameters = JSONText(default=dict, blank=True)
    definition = JSONText()
    author = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TemplateBatchQuerySet(models.QuerySet["TemplateBatch"]):
    def unfinished(self) -> Self:
        """Batches with rows that nobody has done."""
        return self.filter(due_at__isnull=False)

    def due(self, now: datetime) -> Self:
        """Batches that a worker may take up at ``now``, the longest waiting first."""
        return self.filter(due_at__lte=now).order_by("due_at", "id")


class TemplateBatch(models.Model):
    """Workflows that the workers make, one of each row. It keeps what the template said when they were asked for."""

    id = models.UUIDField(primary_key=True, default=new_run_id, editable=False)
    template = models.CharField(max_length=100)  # its name: the template may be changed or deleted meanwhile
    parameters = JSONText()
    definition = JSONText()
    actor = models.CharField(max_length=200)
    total = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)
    # Since when it waits for a worker; ahead of now: until when one is at work on it; null: it has ended.
    due_at = models.DateTimeField(null=True)

    objects = TemplateBatchQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "template batches"
        indexes = [models.Index(fields=["due_at"], name="template_batch_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"{self.total} of {self.template}"

    def counts(self) -> dict[str, int]:
        """Rows by status: ``done``, ``failed``, ``pending``."""
        found = self.rows.order_by().values_list("status").annotate(models.Count("pk"))
        return dict.fromkeys(RowStatus.values, 0) | dict(found)


class TemplateBatchRow(models.Model):
    """One workflow of a batch: what it is made with, and what came of it."""

    batch = models.ForeignKey(TemplateBatch, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()  # from 1
    parameters = JSONText(default=dict)
    workflow_id = models.CharField(max_length=100, blank=True, default="")  # as asked for; once done: as made
    status = models.CharField(max_length=10, choices=RowStatus.choices, default=RowStatus.PENDING)
    error_code = models.CharField(max_length=100, blank=True, default="")
    message = models.TextField(blank=True, default="")
    problems = JSONText(default=list)  # as in an answer that is an error

    class Meta:
        ordering = ["batch", "number"]
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="template_batch_row_unique")]
        indexes = [models.Index(fields=["batch", "status", "number"], name="template_batch_row_status")]

    def __str__(self) -> str:
        return f"{self.batch_id}:{self.number}"
