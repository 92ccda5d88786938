"""A drawing as SVG: made by a template, which escapes all that is written in a definition."""

from django.template.loader import render_to_string

from workflows.graphs.layout import Drawing

POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""The Content-Security-Policy of a drawing: whoever opens it as a page of its own opens one that can do nothing."""


def svg(drawing: Drawing) -> str:
    """A document of its own, light or dark as whoever looks at it has chosen; without script."""
    return render_to_string("workflows/graph.svg", {"drawing": drawing, "alone": True})
