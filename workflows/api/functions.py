"""Functions that agents may offer, with the schemas of their parameters."""

from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from agents.configured import can_build
from agents.functions import registry
from agents.functions.base import Function
from agents.models import ConfiguredFunction
from workflows.api.answers import FunctionAnswer
from workflows.api.base import Endpoint
from workflows.api.pagination import Listing


class FunctionViewSet(Endpoint):
    """All functions."""

    queryset = ConfiguredFunction.objects.all()
    serializer_class = FunctionAnswer
    pagination_class = None
    permissions: ClassVar[dict[str, str]] = {"list": "agents.view_agent"}

    def list(self, request: Request) -> Response:
        """Functions in code, then those that the file describes and that can be called."""
        functions = [_coded(function) for function in registry.all_functions()]
        coded = {name for function in functions for name in (function["name"], *function["aliases"])}
        rows = [row for row in ConfiguredFunction.objects.all() if row.name not in coded and can_build(row)]
        functions += [_configured(row) for row in rows]
        return Listing(functions, len(functions))


def _coded(function: Function) -> dict[str, Any]:
    return {
        "name": function.name,
        "aliases": list(function.aliases),
        "type": "builtin",
        "description": function.description,
        "parameters": function.parameters.model_json_schema(),
    }


def _configured(row: ConfiguredFunction) -> dict[str, Any]:
    properties = {name: {"description": str(text)} for name, text in row.parameters.items()}
    return {
        "name": row.name,
        "aliases": [],
        "type": row.type,
        "description": row.description,
        "parameters": {"type": "object", "properties": properties},
    }
