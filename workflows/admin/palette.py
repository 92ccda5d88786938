"""What the editor offers: agents and their functions, blocks, and the JSON Schemas of all that can be written."""

from typing import Any

from agents.catalog import agents, functions_of
from agents.functions import registry
from workflows.catalog import Catalog
from workflows.definitions import json_schema
from workflows.definitions.models import BLOCKS

UNKNOWN: dict[str, Any] = {"about": "", "parameters": {}}


def palette() -> dict[str, Any]:
    """`{schema, agents, functions, blocks, workflows}`.

    ``agents``: name → `{about, functions}`; ``functions``: name → `{about, parameters}`, a JSON Schema;
    ``blocks``: kind → what it does; ``schema``: the JSON Schema of a definition.
    """
    catalog = Catalog()
    return {
        "schema": json_schema(),
        "agents": {
            spec.name: {"about": spec.role or spec.type, "functions": sorted(functions_of(spec))} for spec in agents()
        },
        "functions": dict.fromkeys(catalog.function_names(), UNKNOWN) | _registered(),
        "blocks": {kind: (model.__doc__ or "").partition("\n")[0] for kind, model in BLOCKS.items()},
        "workflows": sorted(catalog.workflow_ids()),
    }


def _registered() -> dict[str, Any]:
    known: dict[str, Any] = {}
    for function in registry.all_functions():
        entry = {"about": function.description, "parameters": function.parameters.model_json_schema()}
        known |= dict.fromkeys((function.name, *function.aliases), entry)
    return known
