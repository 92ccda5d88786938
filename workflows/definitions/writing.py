"""A definition back as plain data, YAML, JSON Schema and checksum."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from typing import Any

import yaml
from pydantic import BaseModel

from workflows.definitions.models import Definition, Parallel, Written
from workflows.definitions.yamltext import FLOAT, plain_scalar


def to_dict(part: Written) -> dict[str, Any]:
    """The fields that were given, in the order in which they were written, as plain JSON."""
    fields = {field.alias or name: name for name, field in type(part).model_fields.items()}
    keys = dict.fromkeys((*part._keys, *fields))
    return {key: _plain(getattr(part, fields[key])) for key in keys if fields[key] in part.model_fields_set}


def _plain(value: Any) -> Any:
    if isinstance(value, Written):
        return to_dict(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def checksum(definition: Definition) -> str:
    """SHA-256, in hex, over what the definition means.

    Fields with their default value are left out and keys are sorted, so that writing a default or another
    order makes no new version. Free objects (`parameters`, `metadata`, …) count as they are, 1 and 1.0 in them as
    two values; branches of a `parallel` count in their order, since the later one wins.
    """
    meant = json.dumps(_meant(definition), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(meant.encode()).hexdigest()


def _meant(value: Any) -> Any:
    if isinstance(value, Parallel):
        own = _meant_fields(value)
        return own | {"parallel": list(own["parallel"].items())}
    if isinstance(value, BaseModel):
        return _meant_fields(value)
    if isinstance(value, dict):
        return {key: _meant(item) for key, item in value.items()}
    return [_meant(item) for item in value] if isinstance(value, list | tuple) else value


def _meant_fields(model: BaseModel) -> dict[str, Any]:
    fields = {name: (getattr(model, name), field) for name, field in type(model).model_fields.items()}
    return {f.alias or name: _meant(v) for name, (v, f) in fields.items() if f.is_required() or v != f.default}


def to_yaml(definition: Definition) -> str:
    """The definition as YAML that `read_yaml` reads back to the same."""
    return yaml_text(to_dict(definition))


def yaml_text(value: Any) -> str:
    """Plain JSON as YAML that `read_yaml` reads back to the same; long text as blocks, keys in order."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=110,
        default_flow_style=False,
    )


@cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema of a definition, made from the models."""
    schema = Definition.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Kolosal workflow",
        **{key: value for key, value in schema.items() if key != "title"},
    }


ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff]")
"""Characters that are not seen, or that some YAML reader takes for the end of a line."""


class _Dumper(yaml.SafeDumper):
    """Quotes by the core schema of YAML 1.2, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quoted where it would read as something else, by the old rules as well as the new ones."""
    style = None
    if ODD.search(text):
        style = '"'
    elif "\n" in text and "\r" not in text and not text.startswith((" ", "\n")):
        style = "|"
    elif plain_scalar(text) != text or text in ("<<", "="):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    """As Python writes it, which YAML 1.2 reads; PyYAML's own form of 1e300 is its 1.1 form."""
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(number))


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+.0123456789"))
_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _float)
