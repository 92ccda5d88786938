"""Rows as clients see them."""

from typing import Any, ClassVar

from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from workflows.api.answers import ProblemAnswer, RunStatusAnswer, Usage
from workflows.models import Artifact, Event, Run, StepResult, Template, TemplateBatchRow, Workflow, WorkflowVersion
from workflows.results import status_body
from workflows.states import WorkflowStatus
from workflows.why import why


def workflow_status(workflow: Workflow, newest: Run | None) -> dict[str, Any]:
    """The status body of a workflow's newest run, or ``registered`` where it never ran."""
    if newest is not None:
        return status_body(newest)
    return {
        "status": WorkflowStatus.REGISTERED.value,
        "workflow_id": workflow.workflow_id,
        "workflow_name": workflow.name,
        "execution_id": None,
        "total_steps": workflow.total_steps,
        "executed_steps": 0,
        "successful_steps": 0,
        "failed_steps": 0,
        "execution_time_ms": 0.0,
        "current_step": "",
        "progress": 0.0,
    }


class WorkflowSummary(serializers.Serializer[Workflow]):
    """A workflow in a list. Needs ``newest`` in its context: primary key → newest run."""

    workflow_id = serializers.CharField()
    workflow_name = serializers.CharField(source="name")
    description = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    total_steps = serializers.IntegerField()
    version = serializers.IntegerField(source="current.number")
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    status = serializers.SerializerMethodField()

    @extend_schema_field(RunStatusAnswer)
    def get_status(self, workflow: Workflow) -> dict[str, Any]:
        return workflow_status(workflow, self.context["newest"].get(workflow.pk))


class VersionSummary(serializers.ModelSerializer[WorkflowVersion]):
    """A version in a list."""

    current = serializers.BooleanField(source="is_current", help_text="Runs start with it where none is named.")
    total_steps = serializers.IntegerField()

    class Meta:
        model = WorkflowVersion
        fields: ClassVar[list[str]] = [
            "number", "author", "note", "checksum", "created_at", "current", "total_steps",
        ]  # fmt: skip


@extend_schema_field({"$ref": "#/components/schemas/Definition"})
class DefinitionField(serializers.DictField):
    """A definition as it was written."""


class VersionDetail(VersionSummary):
    """A version alone: with its definition."""

    definition = DefinitionField()

    class Meta(VersionSummary.Meta):
        fields: ClassVar[list[str]] = [*VersionSummary.Meta.fields, "definition"]


class TemplateSummary(serializers.Serializer[Template]):
    """A template in a list."""

    name = serializers.CharField()
    description = serializers.CharField()
    author = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BatchRow(serializers.ModelSerializer[TemplateBatchRow]):
    """One row of a batch."""

    workflow_id = serializers.CharField(help_text="As made; before that as asked for, empty for the template's own.")
    parameters = serializers.DictField()
    problems = ProblemAnswer(many=True)

    class Meta:
        model = TemplateBatchRow
        fields: ClassVar[list[str]] = [
            "number", "status", "workflow_id", "parameters", "error_code", "message", "problems",
        ]  # fmt: skip


class RunSummary(serializers.ModelSerializer[Run]):
    """A run in a list."""

    execution_id = serializers.UUIDField(source="pk")
    workflow_id = serializers.CharField(source="workflow.workflow_id")
    workflow_name = serializers.CharField(source="workflow.name")
    version = serializers.IntegerField(source="version.number")
    executed_steps = serializers.IntegerField()
    progress = serializers.FloatField()
    execution_time_ms = serializers.SerializerMethodField()
    rerun_of = serializers.UUIDField(
        source="rerun_of_id", allow_null=True, help_text="The execution_id of the run that it repeats."
    )
    parent = serializers.UUIDField(  # type: ignore[assignment]  # a field, not the attribute
        source="parent_id", allow_null=True, help_text="The execution_id of the run whose step waits for this one."
    )
    parent_path = serializers.CharField(help_text="The path of that step.")

    class Meta:
        model = Run
        fields: ClassVar[list[str]] = [
            "execution_id", "workflow_id", "workflow_name", "version", "status", "trigger", "actor",
            "priority", "attempt", "success", "partial", "error_code", "error_message", "created_at",
            "started_at", "deadline_at", "due_at", "paused_at", "ended_at", "execution_time_ms", "current_step",
            "total_steps", "executed_steps", "successful_steps", "failed_steps", "skipped_steps",
            "retried_steps", "progress", "input_tokens", "output_tokens", "cost", "profile", "rerun_of", "parent",
            "parent_path",
        ]  # fmt: skip

    def get_execution_time_ms(self, run: Run) -> float:
        return round(run.execution_ms(timezone.now()), 3)


class RunDetail(RunSummary):
    """A run alone: with its input, and where its family is."""

    input_context = serializers.DictField(source="input")
    parent_url = serializers.SerializerMethodField()
    children_url = serializers.SerializerMethodField(help_text="The list of runs that its steps started.")
    why = serializers.SerializerMethodField(help_text="In words: what it waits for, who is at it, or how it ended.")

    class Meta(RunSummary.Meta):
        fields: ClassVar[list[str]] = [*RunSummary.Meta.fields, "why", "input_context", "parent_url", "children_url"]

    def get_parent_url(self, run: Run) -> str | None:
        return reverse("runs-detail", args=[run.parent_id]) if run.parent_id else None

    def get_why(self, run: Run) -> str:
        return why(run)

    def get_children_url(self, run: Run) -> str:
        return f"{reverse('runs-list')}?parent={run.pk}"


class StepBody(serializers.ModelSerializer[StepResult]):
    """What one execution of a step did."""

    step_name = serializers.CharField(source="name")
    agent_name = serializers.CharField(source="agent")
    function_name = serializers.CharField(source="function")
    attempts = serializers.IntegerField(source="attempt", help_text="Attempts so far.")
    attempt_history = serializers.ListField(
        source="attempts", child=serializers.DictField(), help_text="Attempts that have ended, in order."
    )
    kind = serializers.CharField(help_text="function, or the key of the block: if, for_each, approval, …")
    parameters = serializers.DictField(
        allow_null=True, help_text="As rendered, secrets masked; of a block, what it decided."
    )
    result_data = serializers.JSONField(source="result", help_text="An object; of a for_each a list, one of each item.")
    due_at = serializers.DateTimeField(allow_null=True, help_text="The end of its wait, if it has one.")
    execution_time_ms = serializers.FloatField(source="duration_ms")
    logs = serializers.ListField(child=serializers.DictField())
    usage = serializers.SerializerMethodField()

    class Meta:
        model = StepResult
        fields: ClassVar[list[str]] = [
            "path", "step_id", "step_name", "kind", "agent_name", "function_name", "status", "reason",
            "superseded", "attempts", "attempt_history", "parameters", "result_data", "error_code",
            "error_message", "started_at", "due_at", "ended_at", "execution_time_ms", "logs", "usage", "cpu_seconds",
            "peak_memory_bytes", "idempotency_key",
        ]  # fmt: skip

    idempotency_key = serializers.CharField()

    @extend_schema_field(Usage)
    def get_usage(self, step: StepResult) -> dict[str, Any]:
        return {
            "input_tokens": step.input_tokens,
            "output_tokens": step.output_tokens,
            "total_tokens": step.input_tokens + step.output_tokens,
            "cost": step.cost,
        }


class ArtifactBody(serializers.ModelSerializer[Artifact]):
    """A file that a function made, without its content."""

    attempt = serializers.IntegerField(help_text="The step's attempt that made it.")
    superseded = serializers.BooleanField(help_text="The result that it belongs to was discarded.")
    url = serializers.SerializerMethodField(help_text="Where its content is.")

    class Meta:
        model = Artifact
        fields: ClassVar[list[str]] = [
            "id", "path", "attempt", "name", "media_type", "size", "sha256", "superseded", "created_at", "url",
        ]  # fmt: skip

    def get_url(self, artifact: Artifact) -> str:
        return reverse("runs-artifact", args=[artifact.run_id, artifact.pk])


class ApprovalBody(serializers.Serializer[StepResult]):
    """A step that waits for a person's answer."""

    execution_id = serializers.UUIDField(source="run_id")
    workflow_id = serializers.CharField(source="run.workflow.workflow_id")
    workflow_name = serializers.CharField(source="run.workflow.name")
    path = serializers.CharField()
    step_id = serializers.CharField()
    step_name = serializers.CharField(source="name")
    prompt = serializers.CharField(source="parameters.prompt")
    options = serializers.ListField(source="parameters.options", child=serializers.CharField())
    assignees = serializers.ListField(
        source="parameters.assignees",
        child=serializers.CharField(),
        help_text="User names, and groups as group:<name>; empty: everybody who may steer runs.",
    )
    waiting_since = serializers.DateTimeField(source="started_at")
    until = serializers.DateTimeField(source="due_at", allow_null=True)
    answer_url = serializers.SerializerMethodField(help_text="Takes `{path, answer, comment?}`.")

    def get_answer_url(self, step: StepResult) -> str:
        return reverse("runs-signal", args=[step.run_id])


class EventBody(serializers.Serializer[Event]):
    """One event of a run. The fields of its type stand beside these."""

    id = serializers.IntegerField(source="seq", help_text="Counts from 1 in its run.")
    type = serializers.CharField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    step_id = serializers.CharField(required=False)
    path = serializers.CharField(required=False)
    hash = serializers.CharField(help_text="Covers the event and the hash before it.")

    def to_representation(self, event: Event) -> dict[str, Any]:
        at = serializers.DateTimeField().to_representation(event.at)
        own = {"id": event.seq, "type": event.type, "at": at, "actor": event.actor, "hash": event.hash}
        place = {"step_id": event.path.rpartition(".")[2], "path": event.path} if event.path else {}
        return {**event.data, **own, **place}
