"""Where each step of a definition stands in its drawing: plain boxes, labels and arrows, in pixels from the top left.

Steps stand below one another. A block is a frame around its branches, which stand side by side.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from workflows.definitions.models import BaseStep, Definition
from workflows.graphs.words import about, branches, plain

WIDTH, HEIGHT = 232, 48  # of a step
GAP = 24  # between steps below one another, and between branches
PAD = 16  # between a frame and what it holds
HEAD = 56  # of a frame: what the block is
LABEL = 22  # of a branch
MARGIN = 12
LETTERS = 34
"""Letters that fit into the width of a step."""


@dataclass(frozen=True, slots=True)
class Box:
    step_id: str
    kind: str
    status: str  # of a step of a run, or empty
    x: int
    y: int
    width: int
    height: int
    title: str
    subtitle: str
    whole: str  # uncut, for whoever points at it
    is_frame: bool

    @property
    def middle(self) -> int:
        return self.x + self.width // 2


@dataclass(frozen=True, slots=True)
class Label:
    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """Straight down from (x, y) to (x, end)."""

    x: int
    y: int
    end: int


@dataclass(slots=True)
class Drawing:
    title: str
    width: int
    height: int
    boxes: list[Box] = field(default_factory=list)  # frames before what stands in them
    labels: list[Label] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Measured:
    """A step with the room that it needs."""

    step: BaseStep
    branches: list[tuple[str, "_Column"]]
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Column:
    steps: list[_Measured]
    width: int
    height: int


def drawn(definition: Definition, statuses: Mapping[str, str] | None = None) -> Drawing:
    """The drawing of a definition; ``statuses``: step id → status, of a run of it."""
    column = _column(definition.steps)
    drawing = Drawing(plain(definition.name, 200), column.width + 2 * MARGIN, column.height + 2 * MARGIN)
    _place(column, drawing, statuses or {}, MARGIN + column.width // 2, MARGIN)
    return drawing


def _column(steps: Iterable[BaseStep]) -> _Column:
    measured = [_measured(step) for step in steps]
    height = sum(step.height for step in measured) + GAP * (len(measured) - 1)
    return _Column(measured, max(step.width for step in measured), height)


def _measured(step: BaseStep) -> _Measured:
    columns = [(name, _column(steps)) for name, steps in branches(step)]
    if not columns:
        return _Measured(step, [], WIDTH, HEIGHT)
    width = sum(column.width for _, column in columns) + GAP * (len(columns) - 1)
    height = HEAD + LABEL + max(column.height for _, column in columns) + PAD
    return _Measured(step, columns, max(width, WIDTH) + 2 * PAD, height)


def _place(column: _Column, drawing: Drawing, statuses: Mapping[str, str], middle: int, y: int) -> None:
    """Put a column's steps below one another around ``middle``, with arrows between."""
    for number, step in enumerate(column.steps):
        if number:
            drawing.arrows.append(Arrow(middle, y - GAP, y))
        box = _box(step, statuses, middle - step.width // 2, y)
        drawing.boxes.append(box)
        for name, inner, x in _across(step, box):
            top = y + HEAD + LABEL
            drawing.arrows.append(Arrow(x, y + HEAD - 4, top))
            if name:
                drawing.labels.append(Label(x + 8, top - 8, plain(name, 28)))
            _place(inner, drawing, statuses, x, top)
        y += step.height + GAP


def _across(step: _Measured, box: Box) -> Iterator[tuple[str, _Column, int]]:
    """The branches of a step with the middle of each."""
    width = sum(column.width for _, column in step.branches) + GAP * (len(step.branches) - 1)
    x = box.middle - width // 2
    for name, column in step.branches:
        yield name, column, x + column.width // 2
        x += column.width + GAP


def _box(measured: _Measured, statuses: Mapping[str, str], x: int, y: int) -> Box:
    step = measured.step
    letters = LETTERS * measured.width // WIDTH
    return Box(
        step_id=step.step_id,
        kind=step.kind,
        status=statuses.get(step.step_id, ""),
        x=x,
        y=y,
        width=measured.width,
        height=measured.height,
        title=plain(step.name, letters - 7),
        subtitle=plain(about(step), letters),
        whole=plain(f"{step.name} ({step.step_id}): {about(step)}", 500),
        is_frame=bool(measured.branches),
    )
