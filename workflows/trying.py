"""Trying a definition that is not stored yet: a run of its own, which reuses what the last try came to."""

import copy
from collections.abc import Mapping
from typing import Any

from agents.inference import OFFLINE
from workflows import publishing, runs
from workflows.definitions import Definition, to_dict, tree
from workflows.models import Run

TRIGGER = "try"
KEPT_SECONDS = 3600
"""How long a step's result is good for the next try."""


def try_out(definition: Definition, input: Mapping[str, Any], *, actor: str, series: str, offline: bool) -> Run:
    """Start a run of the definition as it would be stored. Raises what `runs.start` raises.

    A step for which an earlier try of this ``series`` asked its function the same takes that result, so only what
    was changed is done again, and what hangs on it. ``offline``: every model is the offline provider.
    """
    tried = Definition.model_validate(_tried(definition, f"try:{actor}:{series}", offline))
    workflow = publishing.unlisted(tried, actor=actor, note=TRIGGER)
    return runs.start(workflow, dict(input), trigger=TRIGGER, actor=actor)


def _tried(definition: Definition, key: str, offline: bool) -> dict[str, Any]:
    written = copy.deepcopy(to_dict(definition))
    for _, step in tree.walk(written["steps"]):
        if tree.kind_of(step) == "function":
            step["cache"] = {"ttl_seconds": KEPT_SECONDS, "key": key}
            if offline:
                step["llm_name"] = OFFLINE
    return written
