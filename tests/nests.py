"""Workflows of blocks in blocks, made by hypothesis: counted steps inside, of which some fail, some wait."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.factories import step

Step = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]

DEPTH = 4
MOST_EXECUTIONS = 12  # of one step, by the loops around it
LEAVES = 8  # of a definition, about
LEAVES_ALONE = ("counted", "flaky", "tolerated", "broken", "skipped", "wait", "generate")
LEAVES_OUTSIDE = ("approval", "wait_for", "child")
BLOCKS = ("if", "switch", "for_each", "at_once", "while", "parallel")
RETRY: Step = {"max_retries": 20, "retry": {"initial_delay_seconds": 0.02, "max_delay_seconds": 0.1}}
EVENT = "go"
CHILD = "nest-child"


@dataclass(slots=True)
class Kit:
    """``folder`` is where effects are counted, ``seconds`` what a step takes. ``torn``: failures may cut off others."""

    folder: str
    seconds: float = 0.0
    leaves: Sequence[str] = LEAVES_ALONE
    torn: bool = False
    room: int = LEAVES
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def id(self, kind: str) -> str:
        return f"{kind}{next(self.numbers)}"

    def counted(self, kind: str = "counted", function: str = "effect", failures: int = 0, **fields: Any) -> Step:
        parameters = {"folder": self.folder, "failures": failures, "seconds": self.seconds}
        more = fields.pop("parameters", {})
        return step(self.id(kind), function, parameters | more, **(RETRY | fields))

    def failing(self, **fields: Any) -> Step:
        return self.counted("failing", failures=1_000_000, max_retries=0, **fields)


@st.composite
def nests(
    draw: Draw,
    folder: str,
    seconds: float = 0.0,
    leaves: Sequence[str] = LEAVES_ALONE,
    torn: bool = False,
) -> list[Step]:
    """The steps of a definition."""
    return _list(draw, Kit(folder, seconds, leaves, torn), DEPTH, 1, longest=3)


def drawn(number: int, chosen: int, folder: str, **options: Any) -> list[list[Step]]:
    """So many definitions, the same for the same seed."""
    found: list[list[Step]] = []

    @seed(chosen)
    @settings(
        max_examples=6 * number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(nests(folder, **options))
    def collect(steps: list[Step]) -> None:
        found.append(steps)

    collect()
    return sorted(found, key=lambda steps: len(str(steps)))[-number:]  # simple ones come first, and tell little


def _list(draw: Draw, kit: Kit, depth: int, times: int, longest: int = 2) -> list[Step]:
    return [_step(draw, kit, depth, times) for _ in range(draw(st.integers(1, longest)))]


def _step(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    kit.room -= 1
    kinds = (*kit.leaves, *BLOCKS) if depth > 0 and kit.room > 0 else kit.leaves
    kind = draw(st.sampled_from(kinds))
    return MAKERS[kind](draw, kit, depth - 1, times)


# --- Steps that do something ---


def _counted(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return kit.counted()


def _flaky(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return kit.counted("flaky", failures=draw(st.integers(1, 2)))


def _tolerated(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return kit.failing(continue_on_failure=True)


def _skipped(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return kit.counted("skipped", precondition="false")


def _wait(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return {"step_id": kit.id("wait"), "wait": {"seconds": 0.05}}


def _generate(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    made = {"count": draw(st.integers(1, 2)), "seconds_each": kit.seconds}
    return kit.counted("outline", "effect_generate", generate=True, parameters=made)


def _broken(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    """A block that fails, and is tolerated; torn, if others in it are under way then."""
    bad = [kit.counted("before"), kit.failing(), kit.counted("never")]
    if kit.torn and draw(st.booleans()):
        loop = {"step_id": kit.id("each"), "for_each": "[1, 2]", "max_concurrency": 2, "steps": [
            kit.counted("beside"), kit.counted("long", parameters={"seconds": 2.0})]}  # fmt: skip
        lists = {"bad": bad, "beside": [kit.counted("beside"), loop]}
        return {"step_id": kit.id("torn"), "parallel": lists, "continue_on_failure": True}
    return {"step_id": kit.id("broken"), "if": "true", "then": bad, "continue_on_failure": True}


def _approval(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return {"step_id": kit.id("ask"), "approval": {"prompt": "Go on?", "options": ["yes", "no"]}}


def _wait_for(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return {"step_id": kit.id("event"), "wait_for": {"event": EVENT}}


def _child(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return {"step_id": kit.id("child"), "workflow": CHILD}


# --- Blocks ---


def _if(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    condition = draw(st.sampled_from(["true", "false"]))
    then, other = _list(draw, kit, depth, times), _list(draw, kit, depth, times, 1)
    return {"step_id": kit.id("if"), "if": condition, "then": then, "else": other}


def _switch(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    cases = {name: _list(draw, kit, depth, times, 1) for name in ("1", "2")}
    return {"step_id": kit.id("switch"), "switch": str(draw(st.integers(1, 3))), "cases": cases}


def _for_each(draw: Draw, kit: Kit, depth: int, times: int, at_once: int = 1) -> Step:
    count = draw(st.integers(0, min(3, MOST_EXECUTIONS // times)))
    loop_id = kit.id("each")
    return {
        "step_id": loop_id,
        "for_each": str(list(range(count))),
        "max_concurrency": at_once,
        "steps": _list(draw, kit, depth, times * max(count, 1)),
    }


def _at_once(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    return _for_each(draw, kit, depth, times, at_once=draw(st.integers(2, 3)))


def _while(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    count = draw(st.integers(1, max(1, min(3, MOST_EXECUTIONS // times))))
    score_id = kit.id("score")
    so_far = f'steps.get("{score_id}.result.score", 0)'
    score = kit.counted("score", "effect_score", parameters={"before": f"${{{so_far}}}"}) | {"step_id": score_id}
    inside = [score, *_list(draw, kit, depth, times * count)]
    return {"step_id": kit.id("while"), "while": f"{so_far} < {count}", "steps": inside}


def _parallel(draw: Draw, kit: Kit, depth: int, times: int) -> Step:
    names = [f"branch{number}" for number in range(draw(st.integers(1, 3)))]
    return {"step_id": kit.id("both"), "parallel": {name: _list(draw, kit, depth, times) for name in names}}


MAKERS: dict[str, Callable[[Draw, Kit, int, int], Step]] = {
    "counted": _counted,
    "flaky": _flaky,
    "tolerated": _tolerated,
    "skipped": _skipped,
    "wait": _wait,
    "generate": _generate,
    "broken": _broken,
    "approval": _approval,
    "wait_for": _wait_for,
    "child": _child,
    "if": _if,
    "switch": _switch,
    "for_each": _for_each,
    "at_once": _at_once,
    "while": _while,
    "parallel": _parallel,
}
