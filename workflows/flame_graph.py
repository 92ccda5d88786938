"""Where the time of a call went, drawn: a box for each function, as wide as its time, over those that it called."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.template.loader import render_to_string

WIDTH, ROW, TOP = 1200, 18, 46
LETTER = 6.7  # width of one, on average
NARROWEST = 0.5  # narrower boxes are left out: nobody can see them
DEEPEST = 200


class Frame(Protocol):
    """What pyinstrument knows of a function and of those that it called; ``time`` in seconds, theirs included."""

    @property
    def function(self) -> str: ...
    @property
    def file_path(self) -> str | None: ...
    @property
    def file_path_short(self) -> str | None: ...
    @property
    def line_no(self) -> int | None: ...
    @property
    def time(self) -> float: ...
    @property
    def is_synthetic(self) -> bool: ...
    @property
    def is_application_code(self) -> bool | None: ...
    @property
    def children(self) -> Sequence[Any]: ...


@dataclass(slots=True)
class Node:
    """A function as called from one place in the tree, all its calls together."""

    name: str
    place: str
    is_own: bool
    time: float = 0.0
    frames: list[Frame] = field(default_factory=list)

    def children(self) -> "list[Node]":
        return merged(child for frame in self.frames for child in frame.children)


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: int
    width: float
    label: str
    about: str
    tone: str


def merged(frames: Iterable[Frame]) -> list[Node]:
    """One node for each function, the longest first; the time of no function but the caller is left out."""
    found: dict[tuple[str, str], Node] = {}
    for frame in frames:
        if frame.is_synthetic:
            continue
        file = frame.file_path_short or frame.file_path or "built in"
        place = f"{file}:{frame.line_no}" if frame.line_no else file.strip("<>")
        node = found.setdefault((frame.function, place), Node(frame.function, place, bool(frame.is_application_code)))
        node.time += frame.time
        node.frames.append(frame)
    return sorted(found.values(), key=lambda node: -node.time)


def svg(title: str, roots: Sequence[Frame], samples: int) -> str:
    """A picture that stands by itself, without script; hovering a box tells all of it."""
    nodes = merged(roots)
    total = sum(node.time for node in nodes)
    boxes = list(_boxes(nodes, total)) if total else []
    height = max((box.y for box in boxes), default=TOP) + ROW + 14
    about = f"{total * 1000:,.1f} ms in {samples:,} samples; a box is as wide as its share of the time"
    context = {"title": title, "about": about, "boxes": boxes, "width": WIDTH, "height": height, "row": ROW - 1}
    return render_to_string("workflows/flame_graph.svg", context)


def _boxes(nodes: list[Node], total: float) -> Iterator[Box]:
    rows: list[tuple[list[Node], float, int]] = [(nodes, 0.0, 0)]
    while rows:
        siblings, x, depth = rows.pop()
        for node in siblings:
            width = WIDTH * node.time / total
            if width < NARROWEST:
                break  # those that follow are narrower still
            yield _box(node, x, width, depth, total)
            if depth < DEEPEST:
                rows.append((node.children(), x, depth + 1))
            x += width


def _box(node: Node, x: float, width: float, depth: int, total: float) -> Box:
    letters = int((width - 6) / LETTER)
    label = node.name if len(node.name) <= letters else f"{node.name[: letters - 1]}…" if letters > 3 else ""
    about = f"{node.name} ({node.place}): {node.time * 1000:,.1f} ms, {100 * node.time / total:.1f} %"
    tone = "own" if node.is_own else "other"
    return Box(round(x, 2), TOP + depth * ROW, round(max(width - 1, 0.5), 2), label, about, tone)
