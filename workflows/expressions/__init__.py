"""Expressions over a run's scope: CEL, bare (`compile`) and as `${ }` inside strings (`render`). Knows no
Django."""

from workflows.expressions.evaluation import Expression, compile
from workflows.expressions.filling import escape, fill, fill_plain, fill_rule
from workflows.expressions.rendering import (
    Template,
    contains_expression,
    expressions,
    reach,
    references,
    render,
    render_heavy,
    template,
)
from workflows.expressions.source import Reference

__all__ = [
    "Expression",
    "Reference",
    "Template",
    "compile",
    "contains_expression",
    "escape",
    "expressions",
    "fill",
    "fill_plain",
    "fill_rule",
    "reach",
    "references",
    "render",
    "render_heavy",
    "template",
]
