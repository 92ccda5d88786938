"""The parts of a run's page: one list, from which the page is made, and each part again when something has happened.

To add one, write a function that gives its template what it shows, and a line in `PARTS`; to add something to each
step that is unfolded, a line in `EXTRAS`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from workflows import workers
from workflows.admin.base import duration, entries
from workflows.admin.questions import Question, questions_of
from workflows.admin.run_artifacts import files_of
from workflows.admin.run_log import LINES, lines_of
from workflows.admin.run_times import parts_of
from workflows.admin.run_verbs import verbs_for
from workflows.admin.step_tree import Tree, outline, tree_of
from workflows.admin.timeline import Row, Scale, pending_row, row
from workflows.admin.unfolding import Asked, Branch, Unfolding
from workflows.definitions.models import step_model
from workflows.graphs import drawn
from workflows.graphs.statuses import statuses_of
from workflows.models import Run
from workflows.states import RETRYABLE
from workflows.why import why, why_step

EVENTS_ON_A_PAGE = 100
RERUNS_ON_A_PAGE = 10
CHILDREN_ON_A_PAGE = 20
LONGEST_TIMELINE = 200
TEMPLATES = "admin/workflows/run/parts/"

Context = dict[str, Any]


class Seen:
    """A run as somebody looks at it. What several parts need is read once."""

    def __init__(self, request: HttpRequest, run: Run) -> None:
        self.request = request
        self.run = run
        self.asked = Asked.of(request.GET)
        self.shown = frozenset(request.GET.getlist("show"))  # folded parts that are unfolded

    @cached_property
    def now(self) -> datetime:
        return workers.database_now()

    @cached_property
    def may_steer(self) -> bool:
        return self.request.user.has_perm("workflows.change_run")

    @cached_property
    def may_rerun(self) -> bool:
        return self.request.user.has_perm("workflows.add_run") and self.run.workflow.archived_at is None

    @cached_property
    def questions(self) -> list[Question]:
        return questions_of(self.run, self.request.user)

    @cached_property
    def tree(self) -> Tree:
        return tree_of(self.run)

    @cached_property
    def unfolding(self) -> Unfolding:
        return Unfolding(self.run, self.tree, self.asked, {question.row.path for question in self.questions})


@dataclass(frozen=True, slots=True)
class Part:
    """A section of the page. ``live``: it changes with the run. ``title``: it is folded, and loaded when unfolded."""

    name: str
    context: Callable[[Seen], Context | None]  # None: there is nothing to show
    live: bool = True
    title: str = ""

    @property
    def template(self) -> str:
        return f"{TEMPLATES}{self.name}.html"


@dataclass(frozen=True, slots=True)
class Extra:
    """Something besides in the body of each step: ``of`` gives, for the paths of a run, what its template shows."""

    name: str
    of: Callable[[Run, Sequence[str]], dict[str, Any]]

    @property
    def template(self) -> str:
        return f"{TEMPLATES}step/{self.name}.html"


@dataclass(frozen=True, slots=True)
class Section:
    """A part with its HTML."""

    part: Part
    html: SafeString
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the progress bar, in per cent."""

    kind: str
    x: float
    width: float


def sections(seen: Seen, names: Sequence[str] | None = None) -> list[Section]:
    """The parts with these names, in the order of the page; all of them without."""
    parts = [part for part in PARTS if names is None or part.name in names]
    found = [_section(seen, part) for part in parts]
    return [section for section in found if section is not None]


def _section(seen: Seen, part: Part) -> Section | None:
    if part.title and part.name not in seen.shown:
        return Section(part, mark_safe(""), is_open=False)
    context = part.context(seen)
    if context is None:
        return Section(part, mark_safe("")) if part.live else None
    context = {"seen": seen, "run": seen.run, "extras": EXTRAS, **context}
    return Section(part, render_to_string(part.template, context, seen.request))


# --- What each shows ------------------------------------------------------------------------------------------------


def head(seen: Seen) -> Context:
    run, now = seen.run, seen.now
    begun = run.started_at or run.ended_at or now
    return {
        "why": why(run, now),
        "verbs": verbs_for(run) if seen.may_steer else [],
        "version": run.version.number,
        "length": duration(run.execution_ms(now)),
        "waited": duration((begun - run.created_at).total_seconds() * 1000),
        "shares": _shares(run),
        "reruns": list(run.reruns.only("id", "status").order_by("-id")[:RERUNS_ON_A_PAGE]),
        "children": list(run.children.select_related("workflow").order_by("-id")[:CHILDREN_ON_A_PAGE]),
    }


def questions(seen: Seen) -> Context | None:
    return {"questions": seen.questions} if seen.questions else None


def timeline(seen: Seen) -> Context:
    """Rows for the steps that have begun, as many as fit, and those of the definition that have not."""
    run, tree = seen.run, seen.tree
    nodes = [node for node in outline(tree, seen.unfolding.windows, LONGEST_TIMELINE) if node.pk]
    light = run.steps.filter(pk__in=[node.pk for node in nodes]).defer("parameters", "result", "logs")
    found = {step.path: step for step in light}
    scale = Scale.of(run, seen.now)
    rows = [row(found[node.path], scale) for node in nodes if node.path in found]
    return {
        "rows": rows + _not_begun(seen)[: LONGEST_TIMELINE - len(rows)],
        "left_out": tree.size - len(rows),
        "ticks": scale.ticks() if run.started_at else [],
        "scale": scale,
    }


def steps(seen: Seen) -> Context:
    root = seen.unfolding.unfold()
    asked = {question.row.path: question for question in seen.questions}
    branches = list(_all(root))
    loaded = [branch.node.path for branch in branches if branch.view]
    more = {extra.name: extra.of(seen.run, loaded) for extra in EXTRAS} if loaded else {}
    for branch in branches:
        if question := asked.get(branch.node.path):
            branch.question, branch.may_answer = question.row, question.may_answer
        if branch.view and not seen.run.has_ended:
            branch.why = why_step(branch.view.row, seen.now)
        branch.extras = [(e.template, more[e.name].get(branch.node.path)) for e in EXTRAS if branch.view]
    return {"root": root, "size": seen.tree.size, "may_retry": seen.may_steer and seen.run.status in RETRYABLE}


def input_(seen: Seen) -> Context:
    return {"input": entries(seen.run.input)}


def events(seen: Seen) -> Context:
    shown = list(seen.run.events.order_by("-seq")[:EVENTS_ON_A_PAGE])
    return {"events": shown, "more": max(0, seen.run.event_seq - len(shown))}


def graph(seen: Seen) -> Context:
    return {"drawing": drawn(seen.run.definition, statuses_of(seen.run))}


def times(seen: Seen) -> Context | None:
    parts = parts_of(seen.run, seen.now)
    return {"parts": parts} if parts else None


def log(seen: Seen) -> Context:
    return {"lines": lines_of(seen.run), "most": LINES, "file": settings.LOG_FILE.name}


PARTS = [
    Part("head", head),
    Part("questions", questions),
    Part("timeline", timeline),
    Part("times", times),
    Part("steps", steps),
    Part("input", input_, live=False),
    Part("log", log, title="Log"),
    Part("graph", graph, title="Graph"),
    Part("events", events, title="Events"),
]
"""In the order of the page."""

EXTRAS = [Extra("artifacts", files_of)]


def _shares(run: Run) -> list[Share]:
    found, x = [], 0.0
    counts = {"completed": run.successful_steps, "failed": run.failed_steps, "skipped": run.skipped_steps}
    for kind, count in counts.items():
        width = 100 * count / max(run.known_steps, 1)
        if width:
            found.append(Share(kind, round(x, 3), round(width, 3)))
        x += width
    return found


def _not_begun(seen: Seen) -> list[Row]:
    """Of blocks only themselves: which of their steps will run is not known before."""
    steps = [step for step in seen.run.version.definition["steps"] if step["step_id"] not in seen.tree.nodes]
    named = [(step["step_id"], step.get("step_name") or step["step_id"], step_model(step).kind) for step in steps]
    return [pending_row(*columns) for columns in named]


def _all(branch: Branch) -> Iterator[Branch]:
    for child in branch.children:
        yield child
        yield from _all(child)
