"""What all views share: strict bodies and query parameters, who asks."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.viewsets import GenericViewSet

from workflows.definitions.problems import did_you_mean


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it doesn't know, with the nearest name that it does."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = [name for name, field in self.fields.items() if not field.read_only]
            there_are = f"known: {', '.join(known)}" if known else "this call takes none"
            unknown = {
                name: f"there is no such field{did_you_mean(name, known)}; {there_are}"
                for name in data
                if name not in known
            }
            if unknown:
                raise serializers.ValidationError(unknown, code="unknown_field")
        return super().to_internal_value(data)


class WholeNumber(serializers.IntegerField):
    """An integer that is written as one: no text, no 3.0."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError(f"should be a whole number, not {data!r}"[:100], code="invalid")
        return super().to_internal_value(data)


class Endpoint(GenericViewSet[Any]):
    """A view.

    ``permissions`` names, for each action, what a token's or session's account needs, and ``query_names`` the
    query parameters that it reads. Others are refused: ignored, a filter would list everything, and
    `execute?version=2` would run another version.
    """

    permissions: ClassVar[dict[str, str]] = {}
    query_names: ClassVar[dict[str, Collection[str]]] = {}

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.action:  # none: 405 follows
            _require_known(request.query_params, self.query_names.get(self.action, ()))

    def body(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The checked request body; an empty one is an empty object."""
        return _checked(kind(data=self.request.data))

    def query(self, kind: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """The checked query parameters."""
        return _checked(kind(data=self.request.query_params.dict()))

    @property
    def actor(self) -> str:
        """Who asks, as events record it."""
        return str(self.request.user.get_username())


def _require_known(given: Mapping[str, Any], known: Collection[str]) -> None:
    there_are = f"known: {', '.join(known)}" if known else "this call takes none"
    unknown = {
        name: f"there is no such query parameter{did_you_mean(name, known)}; {there_are}"
        for name in given
        if name not in known
    }
    if unknown:
        raise serializers.ValidationError(unknown, code="unknown_parameter")


def _checked(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
