"""What two runs differ in, as plain data for its page. Bounded: so many steps of each, values of one step at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import CharField
from django.db.models.functions import MD5
from django.utils import timezone

from workflows.admin.base import duration
from workflows.admin.line_diff import LineDiff, line_diff, value_diff
from workflows.admin.places import Place, in_tree_order
from workflows.definitions import to_yaml
from workflows.definitions.models import CONTAINERS
from workflows.models import Run, StepResult
from workflows.results import context_at
from workflows.states import RunStatus

MOST_STEPS = 5_000
"""Steps of each run that are compared, in the order in which they began."""

MOST_FOR_CONTEXT = 500
"""Steps of a run whose context at a step is still told here: it is put together from all results before."""

STEPS_ON_A_PAGE = 50
LOOKED_BACK = 1_000
OTHERS = 20


@dataclass(frozen=True, slots=True)
class Light:
    """A step of one run without its values, for whose equality digests stand."""

    path: str
    pk: int
    kind: str
    name: str
    agent: str
    function: str
    status: str
    attempt: int
    duration_ms: float
    tokens_in: int
    tokens_out: int
    cost: float
    parameters: str | None
    result: str | None
    error: str

    @property
    def length(self) -> str:
        return duration(self.duration_ms)


@dataclass(frozen=True, slots=True)
class Pair:
    """A step in both runs, or in one. ``differs``: in what, beginning with what matters most."""

    place: Place
    before: Light | None
    after: Light | None
    widest: float  # milliseconds of the longest step of both runs

    @property
    def either(self) -> Light:
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def differs(self) -> list[str]:
        if self.before is None:
            return ["only in this run"]
        if self.after is None:
            return ["only in the other run"]
        names = {"status": "status", "error": "error", "agent": "agent", "function": "function", "attempt": "attempts"}
        names |= {"parameters": "parameters", "result": "result"}
        return [name for field, name in names.items() if getattr(self.before, field) != getattr(self.after, field)]

    @property
    def outcome_differs(self) -> bool:
        return self.before is None or self.after is None or self.before.status != self.after.status

    @property
    def bars(self) -> list[tuple[str, Light | None, float]]:
        """For each side its name, its step, and the bar's width in per cent."""
        sides = (("before", self.before), ("after", self.after))
        return [(side, light, round(100 * light.duration_ms / self.widest, 2) if light else 0) for side, light in sides]


@dataclass(frozen=True, slots=True)
class Fact:
    name: str
    before: str
    after: str

    @property
    def differs(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class StepDiffs:
    """Values of one step in both runs; each diff is empty where nothing differs. ``context`` is None where not told."""

    pair: Pair
    values: list[tuple[str, LineDiff]]
    context: LineDiff | None


@dataclass(frozen=True, slots=True)
class Comparison:
    before: Run
    after: Run
    facts: list[Fact]
    definition: LineDiff
    input: LineDiff
    first: Pair | None  # of the steps that differ at all, containers left out
    outcome: Pair | None  # the first that ended otherwise, or is in one run only
    pairs: Page[Pair]
    at: StepDiffs | None
    cut: bool


def comparison_of(before: Run, after: Run, at: str = "", page: str | None = None) -> Comparison:
    """What leads from one run to the other. ``at`` is the path of the step whose values are shown: by default that of
    the first that ended otherwise, or else the first that differs.
    """
    old, new = _light(before), _light(after)
    pairs = list(_pairs(old, new))
    steps = [pair for pair in pairs if pair.either.kind not in CONTAINERS]
    first = next((pair for pair in steps if pair.differs), None)
    outcome = next((pair for pair in steps if pair.outcome_differs), None)
    chosen = next((pair for pair in pairs if pair.place.path == at), None) or outcome or first
    paginator = Paginator(pairs, STEPS_ON_A_PAGE)
    number = page or (pairs.index(chosen) // STEPS_ON_A_PAGE + 1 if chosen else 1)
    small = max(len(old), len(new)) <= MOST_FOR_CONTEXT
    return Comparison(
        before=before,
        after=after,
        facts=_facts(before, after),
        definition=LineDiff([]) if before.version_id == after.version_id else line_diff(*_texts(before, after)),
        input=value_diff(before.input, after.input),
        first=first,
        outcome=outcome,
        pairs=paginator.get_page(number),
        at=_diffs(before, after, chosen, small) if chosen else None,
        cut=max(len(old), len(new)) == MOST_STEPS,
    )


def others_of(run: Run) -> list[tuple[str, Run]]:
    """Runs of the same workflow to compare with, each with what it is: the last good one before it, then others."""
    same = Run.objects.filter(workflow=run.workflow_id).exclude(pk=run.pk).order_by("-pk")
    light = same.only("id", "status", "created_at")
    before = same.filter(pk__lt=run.pk).values("pk")[:LOOKED_BACK]
    good = light.filter(pk__in=before, status=RunStatus.COMPLETED, partial=False).first()
    found = [("the last good one", good)] if good else []
    if run.rerun_of_id and run.rerun_of_id != getattr(good, "pk", None):
        found += [("repeated by this one", rerun) for rerun in light.filter(pk=run.rerun_of_id)]
    known = {other.pk for _, other in found}
    return found + [("", other) for other in light[:OTHERS] if other.pk not in known]


def _texts(before: Run, after: Run) -> Iterator[str]:
    return (to_yaml(run.version.parsed) for run in (before, after))


def _light(run: Run) -> dict[str, tuple[int, Light]]:
    """Path → the step's number in the order of beginning, and the step."""
    digests = (MD5(name, output_field=CharField()) for name in ("parameters", "result"))
    columns = ("path", "pk", "kind", "name", "agent", "function", "status", "attempt", "duration_ms")
    used = ("input_tokens", "output_tokens", "cost")
    rows = run.steps.filter(superseded=False).order_by("pk")
    found = (Light(*row) for row in rows.values_list(*columns, *used, *digests, "error_code")[:MOST_STEPS])
    return {light.path: (number, light) for number, light in enumerate(found)}


def _pairs(old: dict[str, tuple[int, Light]], new: dict[str, tuple[int, Light]]) -> Iterator[Pair]:
    """In the order of the tree; steps that only the other run has stand where that run had them."""
    order = {path: number for path, (number, _) in old.items()} | {path: number for path, (number, _) in new.items()}
    lengths = [light.duration_ms for steps in (old, new) for _, light in steps.values()]
    widest = max(lengths, default=0) or 1
    for path in in_tree_order(order):
        before, after = (steps[path][1] if path in steps else None for steps in (old, new))
        yield Pair(Place(path), before, after, widest)


def _facts(before: Run, after: Run) -> list[Fact]:
    return [Fact(name, *pair) for (name, *pair) in zip(FACTS, _told(before), _told(after), strict=True)]


FACTS = ("Status", "Error", "Version", "Created", "Duration", "Started by", "Steps retried", "Tokens", "Cost")


def _told(run: Run) -> list[str]:
    return [
        run.status.replace("_", " "),
        run.error_code or "–",
        str(run.version.number),
        f"{run.created_at:%Y-%m-%d %H:%M:%S}",
        duration(run.execution_ms(timezone.now())),
        f"{run.actor or '–'} ({run.trigger})",
        str(run.retried_steps),
        f"{run.input_tokens:,} in, {run.output_tokens:,} out",
        f"${run.cost:.4f}",
    ]


def _diffs(before: Run, after: Run, pair: Pair, small: bool) -> StepDiffs:
    old, new = (_row(light) for light in (pair.before, pair.after))
    names = ("error_message", "parameters", "result")
    values = [(name.replace("_message", ""), _between(old, new, name)) for name in names]
    context = None
    if small and pair.before and pair.after:
        context = value_diff(*(context_at(run, pair.place.path) for run in (before, after)))
    return StepDiffs(pair, values, context)


def _row(light: Light | None) -> StepResult | None:
    rows = StepResult.objects.only("error_message", "parameters", "result")
    return rows.filter(pk=light.pk).first() if light else None


def _between(old: StepResult | None, new: StepResult | None, name: str) -> LineDiff:
    values: list[Any] = [getattr(row, name) if row else None for row in (old, new)]
    return value_diff(*(None if value == "" else value for value in values))
