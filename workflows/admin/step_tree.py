"""The steps of a run as a tree: blocks hold their steps, loops their iterations, and these the steps of each.

Only paths and statuses are read for it, of however many steps; rows only of those that are shown.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from workflows.graphs.statuses import FIRST_SEEN
from workflows.models import Run
from workflows.states import StepStatus

MOST_STEPS = 50_000
"""Steps of a run that are read; what lies behind is not shown."""
URGENCY = {str(status): rank for rank, status in enumerate(FIRST_SEEN)}
CALM = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
ITERATION = re.compile(r"\[([0-9]+)\]$")


@dataclass(slots=True)
class Node:
    """A step, an iteration (``loop[3]``), or the run itself (an empty path). ``pk`` is 0 where there is no row."""

    path: str
    pk: int = 0
    kind: str = ""
    status: str = StepStatus.PENDING
    children: list["Node"] = field(default_factory=list)

    @property
    def is_iteration(self) -> bool:
        return not self.pk and self.path.endswith("]")

    @property
    def index(self) -> int:
        """The iteration's number, from 0; -1 of all else."""
        found = ITERATION.search(self.path)
        return int(found[1]) if found else -1

    @property
    def told(self) -> str:
        """Its own status; of an iteration what most needs to be seen of its steps."""
        if self.pk or not self.children:
            return self.status
        return min((child.told for child in self.children), key=lambda status: URGENCY[status])


class Tree:
    """All steps that have begun, in the order in which they began; iterations by number."""

    def __init__(self, rows: Iterable[tuple[str, int, str, str]]) -> None:
        self.nodes: dict[str, Node] = {"": Node("")}
        self.size = 0
        for path, pk, kind, status in rows:
            node = self._node(path)
            node.pk, node.kind, node.status = pk, kind, status
            self.size += 1
        for node in self.nodes.values():
            if node.kind in ("for_each", "while"):
                node.children.sort(key=lambda child: child.index)

    @property
    def root(self) -> Node:
        return self.nodes[""]

    def above(self, path: str) -> Iterator[Node]:
        """The nodes on the way to a path, itself last, as far as they are there."""
        if path in self.nodes and path:
            yield from self.above(parent_of(path))
            yield self.nodes[path]

    def _node(self, path: str) -> Node:
        node = self.nodes.get(path)
        if node is None:
            node = self.nodes[path] = Node(path)
            self._node(parent_of(path)).children.append(node)
        return node


def parent_of(path: str) -> str:
    """`loop[3]` of `loop[3].write`, `loop` of that, and nothing of that."""
    cut = max(path.rfind("."), path.rfind("["))
    return path[:cut] if cut > 0 else ""


def tree_of(run: Run) -> Tree:
    rows = run.steps.filter(superseded=False).order_by("pk").values_list("path", "pk", "kind", "status")
    return Tree(rows[:MOST_STEPS])


def outline(tree: Tree, windows: "Windows", most: int) -> list[Node]:
    """At most so many nodes, in the tree's order: level by level, and of wide ones the part that is shown."""
    kept, level = set[str](), [tree.root]
    while level:
        following: list[Node] = []
        for node in level:
            left = most - len(kept)
            children = node.children if len(node.children) <= left else windows.of(node)
            if len(children) <= left:
                kept.update(child.path for child in children)
                following += children
        level = following
    return list(_in_order(tree.root, kept))


def _in_order(node: Node, kept: set[str]) -> Iterator[Node]:
    for child in node.children:
        if child.path in kept:
            yield child
            yield from _in_order(child, kept)


@dataclass(frozen=True, slots=True)
class Windows:
    """Which part of a node's children is shown, where there are many. ``starts``: path → number of the first."""

    tree: Tree
    starts: dict[str, int]
    at: str = ""
    width: int = 50

    def of(self, node: Node) -> list[Node]:
        start = self.start(node)
        return node.children[start : start + self.width]

    def start(self, node: Node) -> int:
        """As asked for; else where the step that is looked for is, or the first that is not as it should be."""
        if len(node.children) <= self.width:
            return 0
        asked = self.starts.get(node.path)
        if asked is None:
            asked = self._first_of_interest(node)
        return max(0, min(asked, len(node.children) - 1)) // self.width * self.width

    def _first_of_interest(self, node: Node) -> int:
        sought = {above.path for above in self.tree.above(self.at)}
        on_the_way = (n for n, child in enumerate(node.children) if child.path in sought)
        open_or_failed = (n for n, child in enumerate(node.children) if child.told not in CALM)
        return next(on_the_way, next(open_or_failed, 0))
