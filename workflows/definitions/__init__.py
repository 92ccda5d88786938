"""Definitions of workflows: typed models, reading with places, checks, and the Python builder."""

from workflows.definitions.catalog import Catalog
from workflows.definitions.checks import Checked, check
from workflows.definitions.differences import Differences, compare
from workflows.definitions.models import (
    Cache,
    CallableName,
    Concurrency,
    Definition,
    Fallback,
    RetryPolicy,
    Step,
)
from workflows.definitions.problems import Problem
from workflows.definitions.reading import Source, read_file, read_json, read_object, read_yaml
from workflows.definitions.writing import checksum, json_schema, to_dict, to_yaml

__all__ = [
    "Cache",
    "CallableName",
    "Catalog",
    "Checked",
    "Concurrency",
    "Definition",
    "Differences",
    "Fallback",
    "Problem",
    "RetryPolicy",
    "Source",
    "Step",
    "check",
    "checksum",
    "compare",
    "json_schema",
    "read_file",
    "read_json",
    "read_object",
    "read_yaml",
    "to_dict",
    "to_yaml",
]
