"""Which steps and items may be named at a place of a definition, and what is wrong with naming others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from workflows.definitions import tree
from workflows.definitions.models import ForEach, While
from workflows.definitions.problems import Path
from workflows.nearest import did_you_mean

Fault = tuple[str, str]
"""Message and code."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A block around a place: the branch of each step inside it, and the one in which the place is."""

    block_id: str
    why: str
    branch_of: Mapping[str, Path]
    branch: Path

    def parts_from(self, step_id: str) -> bool:
        """Whether the step stands in another branch."""
        return self.branch_of.get(step_id, self.branch) != self.branch


@dataclass(frozen=True, slots=True)
class Names:
    """What may be named at one place: a step's, or that of the first step of a list.

    `earlier` are the steps that have ended here, each with those whose precondition may have skipped it: itself, or
    blocks around it. `inside` are those of ended blocks that may not have run, `before` those of loops around this
    place, which an earlier iteration may have run; each with the block. `around` is the longest path of the block
    around this place, part by part, and `forks` are the blocks around it that have more branches than one.
    """

    ids: Collection[str]
    global_context: Any = None
    earlier: Mapping[str, Collection[str]] = field(default_factory=dict)
    inside: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, str] = field(default_factory=dict)
    forks: tuple[Fork, ...] = ()
    around: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    generated: bool = False
    step: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own_id(self) -> str:
        return str(self.step.get("step_id"))

    def at(self, step: Mapping[str, Any]) -> Names:
        """At this step, the next one of the list."""
        return replace(self, step=step)

    def after(self, step: Mapping[str, Any]) -> Names:
        """Behind this step."""
        step_id = str(step.get("step_id"))
        ended, inside = dict(self.earlier), dict(self.inside)
        ended[step_id] = _skippable(step)
        for inner_id, skippable, may_not_run in _exposed(step):
            if may_not_run:
                inside[inner_id] = step_id
            else:
                ended[inner_id] = skippable
        generated = self.generated or any(each.get("generate") for _, each in tree.walk([step]))
        return replace(self, earlier=ended, inside=inside, generated=generated)

    def in_loop(self) -> Names:
        """At the condition of a `while`, and in its body."""
        body = self.step.get("steps")
        generated = self.generated or any(each.get("generate") for _, each in tree.walk(body))
        return replace(self, before={**self.before, **dict.fromkeys(tree.ids(body), self.own_id)}, generated=generated)

    def within(self) -> Iterator[tuple[Path, Any, Names]]:
        """For each branch of the step: its place below it, what stands there, and what its first step may name."""
        kind, branches = tree.kind_of(self.step), list(tree.branches(self.step))
        names = self.in_loop() if kind == "while" else self
        items = (*self.items, "index", _item(self.step)) if kind == "for_each" else self.items
        names = replace(names, around=(*self.around, _longest(self.step, kind)), items=items)
        branch_of = {step_id: path for path, steps in branches for step_id in tree.ids(steps)}
        for path, steps in branches:
            fork = (Fork(self.own_id, _why(kind), branch_of, path),) if len(branches) > 1 else ()
            yield path, steps, replace(names, forks=(*self.forks, *fork))

    def fault(self, step_id: str, *, guarded: bool) -> Fault | None:
        """What is wrong with naming this step in an expression; `guarded`: its absence is provided for there."""
        if step_id in self.earlier or (step_id in self.inside and (guarded or self._depends_on(step_id))):
            return None
        if guarded and (step_id in self.before or (self.generated and step_id not in self.ids)):
            return None
        if apart := self._apart(step_id):
            return apart
        if step_id in self.inside:
            said = f'step "{step_id}" stands inside "{self.inside[step_id]}", which may not have run it'
            return said, "reference_into_block"
        if step_id in self.before:
            said = f'step "{step_id}" may not have run yet when "{self.before[step_id]}" begins'
            return said, "reference_into_block"
        return self._not_earlier(step_id)

    def dependency_fault(self, step_id: str) -> Fault | None:
        """What is wrong with naming this step in `depends_on`."""
        if step_id in self.earlier or step_id in self.inside:
            return None
        return self._apart(step_id) or self._not_earlier(step_id)

    def _apart(self, step_id: str) -> Fault | None:
        fork = next((fork for fork in self.forks if fork.parts_from(step_id)), None)
        if fork is None:
            return None
        message = f'step "{step_id}" stands in another branch of "{fork.block_id}", {fork.why}'
        return message, "reference_into_sibling"

    def _not_earlier(self, step_id: str) -> Fault:
        if step_id == self.own_id:
            return f'"{step_id}" is this step itself, which has no result yet', "step_not_earlier"
        if step_id in (part.partition("[")[0] for part in self.around):
            return f'"{step_id}" is a block around this step, and has no result yet', "step_not_earlier"
        if step_id in self.ids:
            return f'step "{step_id}" stands later; only earlier steps can be named', "step_not_earlier"
        return f'there is no step "{step_id}"{self._hint(step_id)}', "step_not_found"

    def _hint(self, step_id: str) -> str:
        if hint := did_you_mean(step_id, self.ids):
            return hint
        if self.generated:
            return f'; one that is generated at run time is read with steps.get("{step_id}.result", fallback)'
        return f"; the earlier ones are {', '.join(self.earlier) or 'none'}"

    def may_be_skipped(self, step_id: str) -> bool:
        """Whether a precondition may have skipped an earlier step, and this one would run without it."""
        return any(not self._depends_on(skippable) for skippable in self.earlier.get(step_id, ()))

    def _depends_on(self, step_id: str) -> bool:
        depends = self.step.get("depends_on")
        return isinstance(depends, list) and step_id in depends


def _skippable(step: Mapping[str, Any]) -> tuple[str, ...]:
    return (str(step.get("step_id")),) if step.get("precondition") else ()


def _exposed(step: Mapping[str, Any]) -> Iterator[tuple[str, Collection[str], bool]]:
    """The steps inside a block that has ended: id, what may be skipped, and whether it may not have run at all.

    A `parallel` runs all that it has; of other blocks nobody knows.
    """
    uncertain = tree.kind_of(step) != "parallel"
    for _, steps in tree.branches(step):
        for _, inner in tree.objects(steps):
            yield str(inner.get("step_id")), (*_skippable(step), *_skippable(inner)), uncertain
            for inner_id, skippable, may_not_run in _exposed(inner):
                yield inner_id, (*_skippable(step), *skippable), uncertain or may_not_run


def _why(kind: str) -> str:
    """Why a step of one branch can't be named in another."""
    return "which runs at the same time: name it after the block" if kind == "parallel" else "which is not run then"


def _item(loop: Mapping[str, Any]) -> str:
    return str(loop.get("as", ForEach.model_fields["as_"].default))


def _longest(block: Mapping[str, Any], kind: str) -> str:
    """The block's part of a path, with the index of the last iteration that a loop may have."""
    step_id = str(block.get("step_id"))
    if kind not in ("for_each", "while"):
        return step_id
    model = ForEach if kind == "for_each" else While
    most = block.get("max_iterations", model.model_fields["max_iterations"].default)
    return f"{step_id}[{most - 1}]" if isinstance(most, int) else step_id
