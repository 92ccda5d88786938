"""Workflows, the immutable versions of their definitions, and the rows that mirror the current version's steps."""

from functools import lru_cache
from typing import Any, Self

from django.db import models
from django.db.models import Q

from workflows.definitions import tree, yaml_text
from workflows.definitions.models import CONTAINERS, Definition
from workflows.errors import VersionNotFound, WorkflowNotFound
from workflows.models.fields import JSONText


class WorkflowQuerySet(models.QuerySet["Workflow"]):
    def active(self) -> Self:
        """Workflows that are not archived; their ``workflow_id`` is unique."""
        return self.filter(archived_at__isnull=True)

    def named(self, workflow_id: str) -> "Workflow":
        """The one of that id that is not archived, with its current version. Raises `WorkflowNotFound`."""
        workflow = self.active().select_related("current").filter(workflow_id=workflow_id).first()
        if workflow is None:
            raise WorkflowNotFound(f"there is no workflow {workflow_id!r}")
        return workflow


class Workflow(models.Model):
    """A named workflow. Its definition is that of its current version."""

    workflow_id = models.CharField(max_length=100)
    name = models.CharField(max_length=500)
    description = models.TextField(blank=True, default="")
    tags = JSONText(default=list, blank=True)
    total_steps = models.PositiveIntegerField(default=0)
    concurrency_limit = models.PositiveIntegerField(null=True, editable=False)  # of the current definition
    current = models.ForeignKey(
        "WorkflowVersion", null=True, editable=False, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = WorkflowQuerySet.as_manager()

    class Meta:
        ordering = ["workflow_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["workflow_id"], condition=Q(archived_at__isnull=True), name="workflow_id_unique"
            )
        ]
        indexes = [
            models.Index(
                fields=["concurrency_limit"], name="workflow_limited", condition=Q(concurrency_limit__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.workflow_id

    @property
    def definition(self) -> dict[str, Any]:
        """The current version's definition as it was written."""
        return self.current.definition if self.current else {}

    def version(self, number: int) -> "WorkflowVersion":
        """One of its versions. Raises `VersionNotFound`."""
        version = self.versions.filter(number=number).first()
        if version is None:
            newest = self.current.number if self.current else 0
            there_are = f"there are 1 to {newest}" if newest > 1 else "there is only 1"
            raise VersionNotFound(f"workflow {self.workflow_id!r} has no version {number}; {there_are}")
        return version


class WorkflowVersion(models.Model):
    """One saved state of a definition; never changed. Runs keep the version that they started with."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    definition = JSONText()
    # The YAML as somebody wrote it, with its comments; empty where it was not written as YAML in the editor.
    source = models.TextField(blank=True, db_default="", default="")
    checksum = models.CharField(max_length=64)
    author = models.CharField(max_length=200)
    note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["workflow", "-number"]
        constraints = [models.UniqueConstraint(fields=["workflow", "number"], name="workflow_version_unique")]

    def __str__(self) -> str:
        return f"{self.workflow.workflow_id} v{self.number}"

    @property
    def is_current(self) -> bool:
        """Whether runs start with it where none is named."""
        return self.workflow.current_id == self.pk

    @property
    def text(self) -> str:
        """The YAML as somebody wrote it, else as it is written out."""
        return self.source or yaml_text(self.definition)

    @property
    def total_steps(self) -> int:
        """Steps of the definition at any depth; blocks of other steps are none themselves."""
        return sum(tree.kind_of(step) not in CONTAINERS for _, step in tree.walk(self.definition["steps"]))

    @property
    def parsed(self) -> Definition:
        """The definition as typed, frozen data; parsed once in a process."""
        return parsed_version(self.pk)


class Step(models.Model):
    """A step of the current version, written together with it; the engine reads definitions, never these rows."""

    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveIntegerField()
    step_id = models.CharField(max_length=100)
    name = models.CharField(max_length=500, blank=True, default="")
    agent = models.CharField(max_length=200)
    function = models.CharField(max_length=200)
    parameters = JSONText(default=dict, blank=True)
    timeout_seconds = models.FloatField(default=60)
    max_retries = models.PositiveIntegerField(default=3)
    continue_on_failure = models.BooleanField(default=False)
    precondition = models.TextField(blank=True, default="")
    # Every other key of the step's definition, as written.
    options = JSONText(default=dict, blank=True)

    class Meta:
        ordering = ["workflow", "position"]
        constraints = [models.UniqueConstraint(fields=["workflow", "step_id"], name="step_id_unique")]

    def __str__(self) -> str:
        return self.step_id


@lru_cache(maxsize=1024)
def known_version(version_id: int) -> WorkflowVersion:
    """A version without its definition. It never changes, so it can be kept for as long as the process lives."""
    return WorkflowVersion.objects.defer("definition", "source").get(pk=version_id)


@lru_cache(maxsize=1024)
def parsed_version(version_id: int) -> Definition:
    """The definition of a version, as typed data."""
    # A version never changes, so what it parses to can be kept for as long as the process lives.
    return Definition.model_validate(WorkflowVersion.objects.get(pk=version_id).definition)
