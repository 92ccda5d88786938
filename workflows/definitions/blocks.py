"""What is wrong with a block's own fields beyond their shape. Expressions and steps inside are checked elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from workflows.definitions import tree
from workflows.definitions.formats import format_fault
from workflows.definitions.models import BLOCKS, DEFAULT_CASE, Question
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.definitions.references import ELSEWHERE, NAMES
from workflows.definitions.siblings import same_keys
from workflows.expressions.filling import ROOT
from workflows.expressions.source import CONSTANTS

RESERVED_NAMES = (
    {*NAMES, *ELSEWHERE, ROOT, *CONSTANTS}
    | {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"}
    | {"namespace", "package", "return", "var", "void", "while"}
) - {"item"}
"""Names that no item can have: those of the scope, and CEL's own words."""

ASSIGNEE = re.compile(r"group:\S.{0,149}|[\w.@+-]{1,150}")

Block = Mapping[str, Any]


def form_problem(source: Source, path: Path, step: Block) -> Problem | None:
    """A step that is more than one thing: two blocks, or a block and a function."""
    blocks = [key for key in step if key in BLOCKS]
    functions = [key for key in ("agent_id", "function_name") if key in step]
    if len(blocks) > 1:
        message = f'"{blocks[0]}" and "{blocks[1]}" can\'t stand in one step: put one into the other, or behind it'
        return source.problem((*path, blocks[1]), message, "block_form", of_key=True)
    if blocks and functions:
        message = f'a step with "{blocks[0]}" calls no function itself: {functions[0]} belongs to a step of its own'
        return source.problem((*path, functions[0]), message, "block_form", of_key=True)
    return None


def block_problems(source: Source, path: Path, block: Block) -> Iterator[Problem]:
    """What is wrong with the block's own fields."""
    if check := CHECKS.get(tree.kind_of(block)):
        yield from check(source, path, block)


def _switch(source: Source, path: Path, block: Block) -> Iterator[Problem]:
    cases = block.get("cases")
    if isinstance(cases, dict) and DEFAULT_CASE in cases:
        message = 'for any other value write "default" beside "cases", not in it'
        yield source.problem((*path, "cases", DEFAULT_CASE), message, "default_in_cases", of_key=True)


def _for_each(source: Source, path: Path, block: Block) -> Iterator[Problem]:
    name = block.get("as")
    if isinstance(name, str) and name in RESERVED_NAMES:
        message = f'an item can\'t be called "{name}", which means something in expressions already'
        yield source.problem((*path, "as"), message, "reserved_name")


def _parallel(source: Source, path: Path, block: Block) -> Iterator[Problem]:
    for one, other, shared in same_keys(block):
        message = (
            f'the branches "{one}" and "{other}" both write {shared} into the context, where the later branch wins; '
            f"steps.<id>.result keeps each"
        )
        yield source.problem((*path, "parallel", other), message, "same_key_in_branches", of_key=True, warning=True)


def _wait(source: Source, path: Path, block: Block) -> Iterator[Problem]:
    until = block["wait"].get("until") if isinstance(block["wait"], dict) else None
    if isinstance(until, str) and until and "${" not in until and format_fault(until, "date-time"):
        message = f'"{until[:60]}" is no timestamp with its offset from UTC, such as 2026-01-31T09:30:00Z or …+02:00'
        yield source.problem((*path, "wait", "until"), message, "invalid_timestamp")


def _approval(source: Source, path: Path, block: Block) -> Iterator[Problem]:
    question, path = block["approval"], (*path, "approval")
    if not isinstance(question, dict):
        return
    options = question.get("options", Question.model_fields["options"].default)
    if isinstance(options, list):
        for place in range(len(options)):
            if options[place] in options[:place]:
                message = f'the option "{options[place]}" stands here twice'
                yield source.problem((*path, "options", place), message, "duplicate_option")
        answer = question.get("on_timeout", "fail")
        if isinstance(answer, str) and answer in ("approve", "reject") and answer not in options:
            message = f'"{answer}" is none of the options; add it to them, or write fail'
            yield source.problem((*path, "on_timeout"), message, "unknown_choice")
    yield from _assignees(source, (*path, "assignees"), question.get("assignees"))


def _assignees(source: Source, path: Path, assignees: Any) -> Iterator[Problem]:
    for place, name in enumerate(assignees if isinstance(assignees, list) else ()):
        if isinstance(name, str) and "${" not in name and not ASSIGNEE.fullmatch(name):
            message = f'"{name[:60]}" is nobody who can answer: write a user name, or group:<name of a group>'
            yield source.problem((*path, place), message, "invalid_assignee")


CHECKS: Mapping[str, Callable[[Source, Path, Block], Iterator[Problem]]] = {
    "switch": _switch,
    "for_each": _for_each,
    "parallel": _parallel,
    "wait": _wait,
    "approval": _approval,
}

TEMPLATES: Mapping[str, tuple[Path, ...]] = {
    "workflow": (("input",),),
    "wait": (("wait", "seconds"), ("wait", "until")),
    "approval": (("approval", "prompt"), ("approval", "assignees")),
    "wait_for": (("wait_for", "event"),),
}
"""Places in blocks whose strings are rendered when the block begins."""
