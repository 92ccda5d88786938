"""Whether a workflow that a block runs is there, and does not come back to the one that is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from workflows.definitions.catalog import Catalog
from workflows.definitions.models import ID_PATTERN
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.nearest import did_you_mean


def child_problems(
    source: Source, path: Path, block: Mapping[str, Any], workflow_id: Any, catalog: Catalog
) -> Iterator[Problem]:
    """What is wrong with the workflow that the block names; ``workflow_id`` is that of the definition around it."""
    child, version = block.get("workflow"), block.get("version")
    if not isinstance(child, str) or not re.match(ID_PATTERN, child):
        return  # its shape is refused
    number = version if type(version) is int else None
    if chain := _way_back(child, number, workflow_id, catalog):
        message = f"a workflow can't run itself, and this one would: {' → '.join((workflow_id, *chain))}"
        yield source.problem((*path, "workflow"), message, "child_cycle")
    elif (versions := catalog.workflow_versions(child)) is None:
        known = sorted(catalog.workflow_ids())
        hint = did_you_mean(child, known) or f"; there are {', '.join(known[:10]) or 'none'}"
        yield source.problem((*path, "workflow"), f'there is no workflow "{child}"{hint}', "workflow_not_found")
    elif number is not None and number > 0 and number not in versions:
        message = f'workflow "{child}" has no version {number}; its newest is {max(versions, default=0)}'
        yield source.problem((*path, "version"), message, "version_not_found")


def _way_back(child: str, version: int | None, workflow_id: Any, catalog: Catalog) -> tuple[str, ...]:
    """From the child to the workflow itself, by what each runs; empty where no way leads back."""
    waiting: list[tuple[tuple[str, ...], int | None]] = [((child,), version)]
    seen: set[tuple[str, int | None]] = set()
    while waiting:
        chain, number = waiting.pop()
        if chain[-1] == workflow_id:
            return chain
        if (chain[-1], number) not in seen:
            seen.add((chain[-1], number))
            waiting += [((*chain, below), named) for below, named in catalog.children_of(chain[-1], number)]
    return ()
