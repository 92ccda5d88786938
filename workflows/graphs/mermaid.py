"""A definition as the text of a Mermaid flowchart: https://mermaid.js.org/syntax/flowchart.html"""

from collections.abc import Iterable, Iterator
from itertools import count

from workflows.definitions.models import BaseStep, Definition
from workflows.graphs.words import about, branches, plain


def mermaid(definition: Definition) -> str:
    """``flowchart TD``: a node for each step, a subgraph for each block and branch."""
    return "\n".join(("flowchart TD", *_Writer().steps(definition.steps, "  "))) + "\n"


class _Writer:
    """Numbers nodes and subgraphs as it meets them."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def steps(self, steps: Iterable[BaseStep], indent: str) -> Iterator[str]:
        before = None
        for step in steps:
            name = f"s{next(self._numbers)}"
            yield from self._step(step, name, indent)
            if before:
                yield f"{indent}{before} --> {name}"
            before = name

    def _step(self, step: BaseStep, name: str, indent: str) -> Iterator[str]:
        inside = branches(step)
        text = f"{_text(step.name)}<br/>{_text(about(step))}"
        if not inside:
            yield f'{indent}{name}["{text}"]'
            return
        yield f'{indent}subgraph {name}["{text}"]'
        yield f"{indent}  direction TB"
        for label, steps in inside:
            yield from self._branch(label, steps, f"{indent}  ")
        yield f"{indent}end"

    def _branch(self, label: str, steps: Iterable[BaseStep], indent: str) -> Iterator[str]:
        if not label:
            yield from self.steps(steps, indent)
            return
        yield f'{indent}subgraph b{next(self._numbers)}["{_text(label)}"]'
        yield f"{indent}  direction TB"
        yield from self.steps(steps, f"{indent}  ")
        yield f"{indent}end"


def _text(text: str) -> str:
    """As it may stand between quotes: what Mermaid or HTML would read becomes a character code."""
    return "".join(c if c.isalnum() or c in " .,:;·…-_()/=+" else f"#{ord(c)};" for c in plain(text, 120))
