"""A definition drawn: as SVG, or as the text of a Mermaid flowchart."""

from workflows.graphs.layout import Drawing, drawn
from workflows.graphs.mermaid import mermaid
from workflows.graphs.svg import POLICY, svg

__all__ = ["POLICY", "Drawing", "drawn", "mermaid", "svg"]
