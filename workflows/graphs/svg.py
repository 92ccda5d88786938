"""A drawing as SVG: made by a template, which escapes all that is written in a definition."""

from django.template.loader import render_to_string

from workflows.graphs.layout import Drawing


def svg(drawing: Drawing) -> str:
    """A document of its own, light or dark as whoever looks at it has chosen; without script."""
    return render_to_string("workflows/graph.svg", {"drawing": drawing, "alone": True})
