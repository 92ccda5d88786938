"""The OpenAPI schema: the envelope around every answer, the one error shape, the models of a definition."""

from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from workflows.definitions import Definition, TemplateDocument

ERROR = {
    "type": "object",
    "required": ["success", "error", "error_code", "code", "errors", "timestamp"],
    "properties": {
        "success": {"type": "boolean", "const": False},
        "error": {"type": "string", "description": "What is wrong, and what would be right."},
        "error_code": {"type": "integer", "description": "The HTTP status."},
        "code": {"type": "string", "description": "Machine code."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message", "code"],
                "properties": {
                    "path": {"type": "string"},
                    "line": {"type": "integer"},
                    "column": {"type": "integer"},
                    "message": {"type": "string"},
                    "code": {"type": "string"},
                },
            },
        },
        "timestamp": {"type": "integer", "description": "Unix seconds."},
    },
}
# What a workflow has beside its definition, when it is read.
DETAIL = {
    "version": {"type": "integer"},
    "created_at": {"type": "string", "format": "date-time"},
    "updated_at": {"type": "string", "format": "date-time"},
    "current_status": {"$ref": "#/components/schemas/RunStatusAnswer"},
}
TEMPLATE_DETAIL = {
    "author": {"type": "string"},
    "created_at": {"type": "string", "format": "date-time"},
    "updated_at": {"type": "string", "format": "date-time"},
}
LINK = {"type": ["string", "null"], "format": "uri"}


class SchemaView(SpectacularAPIView):
    """OpenAPI 3.1 as JSON or YAML."""

    permissions: ClassVar[dict[str, str]] = {"get": "workflows.view_workflow"}


class DocsView(SpectacularSwaggerSplitView):
    """The schema as a page; all it loads comes from this server."""

    permissions: ClassVar[dict[str, str]] = {"get": "workflows.view_workflow"}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Tokens of `manage.py create_token`."""

    target_class = "kolosal.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class LocalScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """No authentication, from this machine."""

    target_class = "kolosal.authentication.LocalAuthentication"
    name = ()  # type: ignore[assignment]  # no scheme of its own

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        return {}

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return []


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """drf-spectacular's postprocessing hook."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    definition = Definition.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= definition.pop("$defs", {})
    template = TemplateDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {
        "Definition": definition,
        "WorkflowDetail": _detailed(definition, "WorkflowDetail", DETAIL),
        "TemplateDocument": template,
        "TemplateDetail": _detailed(template, "TemplateDetail", TEMPLATE_DETAIL),
        "Error": ERROR,
    }
    lists = {f"#/components/schemas/{name}" for name, schema in schemas.items() if schema.pop("x-listing", False)}
    for operations in result["paths"].values():
        for operation in operations.values():
            _wrap(operation["responses"], lists)
    return result


def _detailed(written: dict[str, Any], title: str, detail: dict[str, Any]) -> dict[str, Any]:
    """The shape of what is read: what was written, and ``detail`` beside it."""
    return {
        **written,
        "title": title,
        "required": [*written["required"], *detail],
        "properties": written["properties"] | detail,
    }


def _wrap(responses: dict[str, Any], lists: set[str]) -> None:
    for response in responses.values():
        content = response.get("content", {}).get("application/json")
        if content is not None:
            content["schema"] = _enveloped(content["schema"], lists)
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses["default"] = {"description": "Any error.", "content": error}


def _enveloped(schema: dict[str, Any], lists: set[str]) -> dict[str, Any]:
    listed = schema.get("type") == "array" or schema.get("$ref") in lists
    page = {"count": {"type": "integer"}, "next": LINK, "previous": LINK} if listed else {}
    properties = {"success": {"type": "boolean", "const": True}, "data": schema, **page}
    return {
        "type": "object",
        "required": [*properties, "timestamp"],
        "properties": {**properties, "timestamp": {"type": "integer"}},
    }
