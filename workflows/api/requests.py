"""Bodies, query parameters and headers of requests."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from workflows.api.base import StrictSerializer, WholeNumber
from workflows.models.fields import dumps
from workflows.runs import LONGEST_COMMENT
from workflows.template_batches import MOST_ROWS

SMALL_INTEGER = 32_767
INTEGER = 2**31 - 1
EVENT_BYTES = 64 * 1024

IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="Refuse (412) unless this is the current version."
)


class ExecuteRequest(StrictSerializer):
    """What a run is started with; all of it may be left out."""

    input_context = serializers.DictField(required=False, allow_null=True, help_text="Laid over the global context.")
    version = WholeNumber(required=False, min_value=1, help_text="Version of the definition; default: the current.")
    profile = serializers.BooleanField(
        required=False, help_text="Keep a flame graph of each call of a plain function, as an artifact."
    )


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
    profile = serializers.BooleanField(required=False, help_text="As in execute; default: as the run was.")


class Nothing(StrictSerializer):
    """The body of a call that takes none: a field of it would be a misunderstanding."""


class SignalRequest(StrictSerializer):
    """What a step of the run waits for: `path` and `answer`, or `event`."""

    ANSWER = ("path", "answer", "comment")
    EVENT = ("event", "data")

    path = serializers.CharField(
        required=False, max_length=500, trim_whitespace=False, help_text="Path of the step that waits for an answer."
    )
    answer = serializers.CharField(
        required=False, max_length=200, trim_whitespace=False, help_text="One of the step's options."
    )
    comment = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=LONGEST_COMMENT,
        trim_whitespace=False,
        help_text="Goes with the answer.",
    )
    event = serializers.CharField(
        required=False, max_length=200, trim_whitespace=False, help_text="Name of an event that a step waits for."
    )
    data = serializers.JSONField(  # type: ignore[assignment]  # a field, not the property
        required=False, allow_null=True, help_text=f"Goes with the event; at most {EVENT_BYTES:,} bytes of JSON."
    )

    def validate_data(self, data: Any) -> Any:
        if (size := len(dumps(data))) > EVENT_BYTES:
            message = f"has {size:,} bytes as JSON; there may be {EVENT_BYTES:,}"
            raise serializers.ValidationError(message, code="too_large")
        return data

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        answers, sends = not attrs.keys().isdisjoint(self.ANSWER), not attrs.keys().isdisjoint(self.EVENT)
        if answers == sends:
            raise serializers.ValidationError("send either path and answer, or event", code="invalid")
        for name in ("path", "answer") if answers else ("event",):
            if name not in attrs:
                raise serializers.ValidationError({name: "This field is required."}, code="required")
        return attrs


class RetryQuery(StrictSerializer):
    """Where a run goes on."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        said = "Path of a step: its result and those after it are discarded. Default: the first unfinished step."
        return {"from": serializers.CharField(required=False, max_length=500, help_text=said)}


class ExecutionQuery(StrictSerializer):
    """Which run of a workflow; default: the newest that fits."""

    execution_id = serializers.UUIDField(required=False)


class UsageQuery(StrictSerializer):
    """From when on; default: all that there is."""

    since = serializers.DateTimeField(required=False, help_text="Runs created, or steps begun, since; ISO 8601.")


class ContextQuery(StrictSerializer):
    """Where in a run."""

    at = serializers.CharField(required=False, help_text="Path of a step: the context as that step saw it.")


class ArtifactQuery(StrictSerializer):
    """How a file is answered."""

    inline = serializers.BooleanField(
        required=False, help_text="Have the browser show it, if it is a picture; others are saved anyway."
    )


class Noted(StrictSerializer):
    """What a save takes beside the definition: in the query, or in the body where that holds no definition."""

    note = serializers.CharField(
        required=False, allow_blank=True, max_length=1000, help_text="What the new version changes; kept with it."
    )


class DiffQuery(StrictSerializer):
    """What a version is compared with."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        said = "Number of a version. Default: the one before."
        return {"with": serializers.IntegerField(required=False, min_value=1, max_value=INTEGER, help_text=said)}


class TemplateRequest(StrictSerializer):
    """A definition to make a workflow from."""

    template = serializers.DictField(help_text="A definition; may have `${params.…}` in any field.")
    parameters = serializers.DictField(required=False, allow_null=True, help_text="What stands for `params`.")
    workflow_id = serializers.CharField(required=False, help_text="Takes the place of the template's.")


class RowRequest(StrictSerializer):
    """One workflow to make from a stored template."""

    parameters = serializers.DictField(required=False, allow_null=True)
    workflow_id = serializers.CharField(
        required=False, max_length=100, help_text="Takes the place of the template's own."
    )


class InstantiateRequest(RowRequest):
    """One workflow to make from a stored template, or many."""

    rows = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        allow_empty=False,
        max_length=MOST_ROWS,
        help_text="In place of the other two: `{parameters?, workflow_id?}` of each workflow.",
    )


class CallRequest(StrictSerializer):
    """One call of an agent's function."""

    function = serializers.CharField()
    parameters = serializers.DictField(required=False, allow_null=True)


def expected_version(request: Request) -> int | None:
    """The version of ``If-Match``: `3`, `"3"` or `W/"3"`; None for none and for `*`. Raises `ValidationError`."""
    text = request.headers.get("If-Match", "*").strip()
    number = text.removeprefix("W/").strip('"')
    if text == "*":
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        message = f'should be a version, such as "3", not {text[:50]!r}'
        raise serializers.ValidationError({"If-Match": message})
    return int(number)
