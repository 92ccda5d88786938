"""What of a run's tree of steps a page shows: which nodes are unfolded, and of which the inside is loaded."""

from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from workflows.admin.places import Place
from workflows.admin.step_tree import Node, Tree, Windows
from workflows.admin.step_view import StepView, decided, took, views_of
from workflows.models import Run, StepResult
from workflows.states import STEP_FAILED, StepStatus

SMALL = 50
"""A tree of so many steps is loaded as a whole, its blocks unfolded."""
MOST_BRANCHES = 500
LONGEST_PATH = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the tree was asked for, by names in the address."""

    at: str = ""  # a step to be shown
    opened: frozenset[str] = frozenset()
    shut: frozenset[str] = frozenset()
    starts: dict[str, int] = field(default_factory=dict)  # path → number of the child from which on it is shown
    sparing: bool = False  # of what is folded nothing is loaded

    @classmethod
    def of(cls, query: QueryDict) -> "Asked":
        return cls(
            at=query.get("at", "")[:LONGEST_PATH],
            opened=frozenset(query.getlist("open")),
            shut=frozenset(query.getlist("shut")),
            starts=dict(_start(text) for text in query.getlist("from")),
            sparing="sparing" in query,
        )


@dataclass(slots=True)
class Branch:
    """A node as it is shown. ``view`` is there where the step's inside is loaded; children, where they are."""

    node: Node
    row: StepResult | None = None
    is_open: bool = False
    is_loaded: bool = False
    view: StepView | None = None
    question: StepResult | None = None
    may_answer: bool = False
    why: str = ""
    children: list["Branch"] = field(default_factory=list)
    start: int = 0
    end: int = 0
    earlier: int | None = None
    later: int | None = None
    extras: list[tuple[str, Any]] = field(default_factory=list)  # templates, and what each shows

    @property
    def place(self) -> Place:
        return Place(self.node.path)

    @property
    def total(self) -> int:
        return len(self.node.children)

    @property
    def status(self) -> str:
        return self.node.told

    @property
    def decided(self) -> str:
        return decided(self.row) if self.row else ""

    @property
    def length(self) -> str:
        return took(self.row) if self.row else ""

    @property
    def streams(self) -> bool:
        """Whether text of it may come."""
        return self.node.kind == "function" and self.node.status == StepStatus.RUNNING


class Unfolding:
    """Decides for each node of a tree, and reads the rows of those that are shown."""

    def __init__(self, run: Run, tree: Tree, asked: Asked, asking: set[str]) -> None:
        self._run = run
        self._tree = tree
        self._asked = asked
        self._asking = asking
        self._above = {node.path for node in tree.above(asked.at)}
        self._left = MOST_BRANCHES
        self.windows = Windows(tree, asked.starts, asked.at)
        self.is_small = tree.size <= SMALL

    def unfold(self) -> Branch:
        """The whole, as far as it is shown; read in two queries and a few for the bodies."""
        root = Branch(self._tree.root, is_open=True, is_loaded=True)
        branches = self._grow(root)
        rows = _rows(self._run, [b.node.pk for b in branches if b.node.pk])
        views = views_of(self._run, [b.node.pk for b in branches if b.node.pk and b.is_loaded])
        for branch in branches:
            branch.row = rows.get(branch.node.path)
            branch.view = views.get(branch.node.path)
        return root

    def _grow(self, branch: Branch) -> list[Branch]:
        """Its children, where it is loaded, and theirs."""
        children = self.windows.of(branch.node) if branch.is_loaded else []
        self._left -= len(children)
        self._number(branch, len(children))
        branch.children = [self._branch(child) for child in children]
        return [each for child in branch.children for each in (child, *self._grow(child))]

    def _number(self, branch: Branch, shown: int) -> None:
        start, width = self.windows.start(branch.node), self.windows.width
        branch.start, branch.end = start + 1, start + shown
        branch.earlier = start - width if shown and start else None
        branch.later = branch.end if shown and branch.end < branch.total else None

    def _branch(self, node: Node) -> Branch:
        is_open = self._is_open(node)
        is_loaded = (is_open or (self.is_small and not self._asked.sparing)) and self._left > 0
        return Branch(node, is_open=is_open, is_loaded=is_loaded)

    def _is_open(self, node: Node) -> bool:
        """As asked for; else on the way to what is looked for, blocks of small trees, and what failed or asks."""
        if node.path in self._asked.opened or node.path in self._asked.shut:
            return node.path in self._asked.opened
        if node.path in self._above:
            return True
        if node.children:
            return self.is_small
        return node.status in STEP_FAILED or node.path in self._asking


def _rows(run: Run, pks: list[int]) -> dict[str, StepResult]:
    """What the lines of steps show. Only of blocks it takes values: what they decided."""
    light = run.steps.filter(pk__in=pks).defer("attempts", "logs")
    functions = light.filter(kind="function").defer("attempts", "logs", "parameters", "result")
    return {row.path: row for rows in (functions, light.exclude(kind="function")) for row in rows}


def _start(text: str) -> tuple[str, int]:
    path, _, number = text.rpartition(":")
    return path, int(number) if number.isdecimal() and len(number) < 10 else 0
