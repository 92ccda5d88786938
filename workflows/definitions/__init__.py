"""Definitions of workflows: typed models, reading with places, checks, and the Python builder."""

from workflows.definitions.catalog import Catalog
from workflows.definitions.checks import Checked, check, check_generated
from workflows.definitions.differences import Differences, compare
from workflows.definitions.filling import fill_definition
from workflows.definitions.models import (
    Cache,
    CallableName,
    Concurrency,
    Definition,
    Fallback,
    FunctionStep,
    RetryPolicy,
    Step,
    walk,
)
from workflows.definitions.problems import Problem, did_you_mean
from workflows.definitions.reading import Source, read_file, read_json, read_object, read_yaml
from workflows.definitions.templates import TemplateDocument, check_template
from workflows.definitions.writing import checksum, json_schema, to_dict, to_yaml, yaml_text

__all__ = [
    "Cache",
    "CallableName",
    "Catalog",
    "Checked",
    "Concurrency",
    "Definition",
    "Differences",
    "Fallback",
    "FunctionStep",
    "Problem",
    "RetryPolicy",
    "Source",
    "Step",
    "TemplateDocument",
    "check",
    "check_generated",
    "check_template",
    "checksum",
    "compare",
    "did_you_mean",
    "fill_definition",
    "json_schema",
    "read_file",
    "read_json",
    "read_object",
    "read_yaml",
    "to_dict",
    "to_yaml",
    "walk",
    "yaml_text",
]
