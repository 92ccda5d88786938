"""Which steps a run must have executed, by its definition and what its blocks have decided; and which it did.

An account of its own: it reads definitions and rows, and asks nothing of the engine. The rules:

1. In a list, steps follow one another; one that fails and is not tolerated ends it.
2. A block decides once which list, which items; all its lists are executed, unless a failure ends it.
3. Where a failure cut others short (branches and items at once), what they had come to is as it was: a beginning of
   their lists, without a gap.
4. Generated steps are those of the recorded result.
5. A step that waits for a child run has decided its id; there is no other child, and it is completed with it.
6. An answer, an event ends one wait.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import TypeAdapter

from workflows.definitions.models import (
    BaseStep,
    Child,
    ForEach,
    FunctionStep,
    If,
    Parallel,
    Steps,
    Switch,
    While,
)
from workflows.models import Event, Run, StepResult

FAILED = frozenset({"failed", "timed_out"})
ENDED = frozenset({"completed", "failed", "timed_out", "skipped", "cancelled"})
generated: TypeAdapter[Steps] = TypeAdapter(Steps)


def complaints(run: Run) -> list[str]:
    """What is wrong with the steps that an ended run has executed."""
    rows = list(run.steps.order_by("pk"))
    current = {row.path: row for row in rows if not row.superseded}
    walk = _Walk(current, run.definition.stop_on_failure)
    failed = walk.list(run.definition.steps, "", whole=run.status in ("completed", "failed"))
    found = [*walk.found, *(f"{path}: executed, and nothing led to it" for path in sorted(current.keys() - walk.seen))]
    if run.status in ("completed", "failed") and failed != (run.status == "failed"):
        found.append(f"it is {run.status}, and its steps {'failed' if failed else 'did not fail'}")
    found += [f"{row.path}: {row.status} in an ended run" for row in current.values() if row.status not in ENDED]
    found += _children(run, rows)
    found += _inputs(run, rows)
    return [f"run {run.pk} of {run.workflow}: {one}" for one in found]


def all_complaints(runs: Iterable[Run]) -> list[str]:
    return [complaint for run in runs for complaint in complaints(run)]


@dataclass(slots=True)
class _Walk:
    rows: Mapping[str, StepResult]
    stops: bool  # at a failure
    seen: set[str] = field(default_factory=set)
    found: list[str] = field(default_factory=list)

    def list(self, steps: Sequence[BaseStep], prefix: str, *, whole: bool) -> bool:
        """Whether a failure ended the list. ``whole``: nothing cut it short."""
        for step in steps:
            path = prefix + step.step_id
            row = self.rows.get(path)
            if row is None:
                if whole:
                    self.found.append(f"{path}: not executed, and it should have been")
                return False
            self.seen.add(path)
            failed = self._step(step, row, whole)
            if failed and self.stops and not step.continue_on_failure:
                return True
            if row.status == "cancelled":
                return False
        return False

    def _step(self, step: BaseStep, row: StepResult, whole: bool) -> bool:
        whole = whole and row.status in ("completed", *FAILED)
        failed_inside = False
        if row.parameters is not None:
            failed_inside = self._inside(step, row, whole)
        if isinstance(step, FunctionStep) and step.generate and row.status == "completed":
            return self.list(generated.validate_python(row.result["steps"], strict=False), f"{row.path}.", whole=whole)
        if failed_inside and row.status == "completed":
            self.found.append(f"{row.path}: completed, though a step inside failed")
        return row.status in FAILED

    def _inside(self, step: BaseStep, row: StepResult, whole: bool) -> bool:
        path, decided, done = row.path, row.parameters, row.status == "completed"
        if isinstance(step, If | Switch):
            branch = decided["branch"]
            return branch is not None and self.list(step.branches[branch], f"{path}.", whole=whole)
        if isinstance(step, Parallel):
            failed = [self.list(steps, f"{path}.", whole=whole and done) for steps in step.parallel.values()]
            return any(failed)
        if isinstance(step, ForEach):
            return self._items(step, row, whole)
        if isinstance(step, While):
            return self._iterations(step, row, whole)
        return False

    def _items(self, step: ForEach, row: StepResult, whole: bool) -> bool:
        count, done = len(row.parameters["items"]), row.status == "completed"
        if done and len(row.result) != count:
            self.found.append(f"{row.path}: {len(row.result)} results of {count} items")
        failed = False
        for index in range(count):
            prefix = f"{row.path}[{index}]."
            if done or self._has_begun(prefix):
                alone = step.max_concurrency == 1
                failed |= self.list(step.steps, prefix, whole=whole and (done or alone))
        return failed

    def _iterations(self, step: While, row: StepResult, whole: bool) -> bool:
        index, failed = 0, False
        while self._has_begun(prefix := f"{row.path}[{index}]."):
            if failed:
                self.found.append(f"{prefix}: an iteration after one that failed")
            failed = self.list(step.steps, prefix, whole=whole)
            index += 1
        if row.status == "completed" and row.result != {"iterations": index}:
            self.found.append(f"{row.path}: {index} iterations, and it says {row.result}")
        return failed

    def _has_begun(self, prefix: str) -> bool:
        return any(path.startswith(prefix) for path in self.rows)


def _children(run: Run, rows: Sequence[StepResult]) -> Iterator[str]:
    decided = {row.parameters["run_id"]: row for row in rows if row.kind == Child.kind and row.parameters}
    children = {str(child.pk): child for child in run.children.all()}
    for child in children.keys() - decided.keys():
        yield f"child {child}, which no step has decided to start"
    for key, row in decided.items():
        if row.status == "completed" and (key not in children or children[key].status != "completed"):
            yield f"{row.path}: completed, and its child {key} is not"


def _inputs(run: Run, rows: Sequence[StepResult]) -> Iterator[str]:
    taken = Counter(Event.objects.filter(run=run).values_list("type", flat=True))
    for kind, type in (("approval", "approval_answered"), ("wait_for", "event_received")):
        ended = sum(row.kind == kind and row.status == "completed" for row in rows)
        if ended != taken[type]:
            yield f"{ended} steps of kind {kind} completed, by {taken[type]} events {type}"
    numbers = Counter(str(row.result["data"]) for row in rows if row.kind == "wait_for" and row.result)
    yield from (f"the event with data {data} ended {count} waits" for data, count in numbers.items() if count > 1)
