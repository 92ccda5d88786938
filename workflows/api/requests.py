"""Bodies and query parameters of requests."""

from typing import Any

from rest_framework import serializers

from workflows.api.base import StrictSerializer, WholeNumber

SMALL_INTEGER = 32_767


class ExecuteRequest(StrictSerializer):
    """What a run is started with; all of it may be left out."""

    input_context = serializers.DictField(required=False, allow_null=True, help_text="Laid over the global context.")
    version = WholeNumber(required=False, min_value=1, help_text="Version of the definition; default: the current.")


class ExecuteAsyncRequest(ExecuteRequest):
    """…and for a run that workers carry out."""

    priority = WholeNumber(
        required=False,
        min_value=-SMALL_INTEGER,
        max_value=SMALL_INTEGER,
        help_text="Higher goes first; default 0.",
    )
    run_at = serializers.DateTimeField(required=False, help_text="Not before; ISO 8601.")


class RerunRequest(StrictSerializer):
    """What a run is repeated with; all of it may be left out."""

    input_context = serializers.DictField(required=False, allow_null=True, help_text="Default: that of the run.")
    version = WholeNumber(required=False, min_value=1, help_text="Version of the definition; default: the run's.")


class Nothing(StrictSerializer):
    """The body of a call that takes none: a field of it would be a misunderstanding."""


class RetryQuery(StrictSerializer):
    """Where a run goes on."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        said = "Path of a step: its result and those after it are discarded. Default: the first unfinished step."
        return {"from": serializers.CharField(required=False, max_length=500, help_text=said)}


class ExecutionQuery(StrictSerializer):
    """Which run of a workflow; default: the newest that fits."""

    execution_id = serializers.UUIDField(required=False)


class ContextQuery(StrictSerializer):
    """Where in a run."""

    at = serializers.CharField(required=False, help_text="Path of a step: the context as that step saw it.")


class TemplateRequest(StrictSerializer):
    """A definition to make a workflow from."""

    template = serializers.DictField(help_text="A definition.")
    workflow_id = serializers.CharField(required=False, help_text="Takes the place of the template's.")


class CallRequest(StrictSerializer):
    """One call of an agent's function."""

    function = serializers.CharField()
    parameters = serializers.DictField(required=False, allow_null=True)
