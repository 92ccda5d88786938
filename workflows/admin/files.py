"""A workflow's current definition as a file: YAML, JSON, or drawn."""

import json
from collections.abc import Callable

from django.http import Http404, HttpResponse

from workflows.graphs import POLICY, drawn, mermaid, svg
from workflows.models import Workflow, WorkflowVersion

Written = Callable[[WorkflowVersion], str]


# How it is written, its media type, and whether a page shows it rather than the browser saves it.
FORMATS: dict[str, tuple[Written, str, bool]] = {
    "yaml": (lambda version: version.text, "application/yaml", False),
    "json": (lambda version: json.dumps(version.definition, indent=2, ensure_ascii=False), "application/json", False),
    "mmd": (lambda version: mermaid(version.parsed), "text/vnd.mermaid", False),
    "svg": (lambda version: svg(drawn(version.parsed)), "image/svg+xml", True),
}


def file_of(workflow: Workflow, format: str) -> HttpResponse:
    """The file in this format; 404 where there is no such format."""
    if format not in FORMATS or workflow.current is None:
        raise Http404("no such format")
    write, media_type, shown = FORMATS[format]
    response = HttpResponse(write(workflow.current), content_type=f"{media_type}; charset=utf-8")
    kind = "inline" if shown else "attachment"
    response.headers["Content-Disposition"] = f'{kind}; filename="{workflow.workflow_id}.{format}"'
    response.headers["Content-Security-Policy"] = POLICY
    return response
