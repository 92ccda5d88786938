"""Finding functions by name, checking their parameters, calling them.

Built-ins are the modules beside this one, imported when first asked for. More come from the modules that
`KOLOSAL_FUNCTIONS` names, and from packages through the entry point group `kolosal.functions` (an entry names
a module, or a function decorated with `@function`).
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import threading
import typing
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from agents.conf import setting
from agents.errors import AgentError, FunctionFailed, FunctionNotFound, InvalidParameters
from agents.functions.base import Call, Function, Reads, Result
from agents.plain import plain_object
from agents.wording import Path, dotted, hint, mistakes

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "kolosal.functions"

# Names that files of the original system use and that this version does not carry out yet.
PLANNED = frozenset({
    "retrieval", "context_retrieval", "add_document", "remove_document", "parse_pdf", "parse_docx",
    "get_embedding", "test_document_service", "sql_query",
})  # fmt: skip

_functions: dict[str, Function] = {}
_loading = threading.RLock()
_all_loaded = False

Run = TypeVar("Run", bound=Callable[..., Any])


def function(
    name: str, *aliases: str, description: str = "", reads: Reads | None = None, asks_model: bool = False
) -> Callable[[Run], Run]:
    """Register a function: `run(call: Call, parameters: SomeModel) -> dict`, plain or `async`.

    The parameter model is the annotation of the second argument. An `async` function runs in the event loop,
    a plain one in a process of its own. `reads`, `asks_model`: see `Function`. Raises `TypeError` without a
    model, `ValueError` for a taken name.
    """

    def register(run: Run) -> Run:
        _add(
            Function(
                name=name,
                aliases=aliases,
                parameters=_parameter_model(run),
                run=run,
                is_async=inspect.iscoroutinefunction(run),
                description=description or (inspect.getdoc(run) or "").partition("\n")[0],
                reads=reads,
                asks_model=asks_model,
            )
        )
        return run

    return register


def find(name: str) -> Function | None:
    """The function of that name or alias, or None."""
    if name not in _functions:
        with _loading:
            if name in _builtin_modules():
                importlib.import_module(f"agents.functions.{name}")
            if name not in _functions:
                _load_all()
    return _functions.get(name)


def get(name: str) -> Function:
    """The function of that name or alias; raises `FunctionNotFound` naming the nearest."""
    found = find(name)
    if found is None:
        raise FunctionNotFound(unknown_function(name))
    return found


def unknown_function(name: str) -> str:
    """The message for a name that no code implements."""
    if name in PLANNED:
        return f"function {name!r} is known but not available in this version"
    shown = [f.name for f in all_functions()]
    return f"there is no function {name!r}; {hint(name, _functions, shown=shown)}"


def all_functions() -> list[Function]:
    """Every function, by name, those of other packages included."""
    with _loading:
        _load_all()
    return sorted(set(_functions.values()), key=lambda f: f.name)


def validate(function: Function, parameters: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> BaseModel:
    """The parameters as the function's model; those that are absent are taken from the context by name.

    Strings are read leniently ("true", "3"); unknown parameters are ignored. An optional value found in the
    context that does not fit is left out. Raises `InvalidParameters` with every problem and its place.
    """
    borrowed = _from_context(function, parameters, context or {})
    try:
        return function.parameters.model_validate({**borrowed, **parameters})
    except ValidationError as error:
        unfit = {str(e["loc"][0]) for e in error.errors() if e["loc"]} & set(borrowed)
        optional = {name for name in unfit if not function.parameters.model_fields[name].is_required()}
        if optional:
            kept = {key: value for key, value in borrowed.items() if key not in optional}
            return validate(function, {**kept, **parameters})
        raise _invalid(function, error, parameters, borrowed) from None


def basis(function: Function, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    """What the result of a call hangs on besides its agent: `{parameters, read}`, those borrowed from the context too.

    Raises `InvalidParameters`, as the call would.
    """
    valid = validate(function, parameters, context)
    return {
        "parameters": {**_from_context(function, parameters, context), **parameters},
        "read": function.reads(valid, context) if function.reads else None,
    }


def unknown_parameters(function: Function, parameters: Mapping[str, Any]) -> dict[str, str | None]:
    """Parameters that the function does not know → the nearest known name, or None."""
    if function.parameters.model_config.get("extra") == "allow":
        return {}
    known = function.known_parameters()
    strange = [name for name in parameters if name not in known]
    return {name: next(iter(get_close_matches(name, known, n=1)), None) for name in strange}


def literal_problems(function: Function, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What can be told of a definition's parameters without running it: `[{path, message, severity, code}]`.

    Only parameters without `${` are checked. Missing ones are no problem: they may come from the context.
    """
    literal = {key: value for key, value in parameters.items() if not _has_expression(value)}
    problems = [_unknown_problem(*pair) for pair in unknown_parameters(function, parameters).items()]
    try:
        function.parameters.model_validate(literal)
    except ValidationError as error:
        found = [(path, message) for path, message in mistakes(error, literal) if path]
        problems += [
            {"path": dotted(path), "message": message, "severity": "error", "code": "invalid_parameter"}
            for path, message in found
            if len(path) > 1 or path[0] in literal
        ]
    return problems


def run(function: Function, call: Call, parameters: Mapping[str, Any]) -> Result:
    """Validate and run a plain function; see `arun` for what it raises."""
    checked = _checked(function, call, parameters)
    try:
        return _result_of(function, function.run(call, checked))
    except AgentError:
        raise
    except (Exception, SystemExit) as cause:
        raise FunctionFailed.wrap(cause) from cause


async def arun(function: Function, call: Call, parameters: Mapping[str, Any]) -> Result:
    """Validate and run a function of either kind in the running event loop.

    Raises `InvalidParameters`, whatever `AgentError` the function raises, and `FunctionFailed` for anything
    else it raises and for a result that is not a JSON object. Cancelling passes through.
    """
    checked = _checked(function, call, parameters)
    try:
        outcome = function.run(call, checked)
        result = await outcome if isinstance(outcome, Awaitable) else outcome
        return _result_of(function, result)
    except AgentError:
        raise
    except (Exception, SystemExit) as cause:
        raise FunctionFailed.wrap(cause) from cause


def _checked(function: Function, call: Call, parameters: Mapping[str, Any]) -> BaseModel:
    ignored = unknown_parameters(function, parameters)
    if ignored:
        call.logger.info("%s ignores unknown parameters: %s", function.name, ", ".join(sorted(ignored)))
    return validate(function, parameters, call.context)


def _result_of(function: Function, result: object) -> Result:
    try:
        return plain_object(result)
    except ValueError as error:
        raise FunctionFailed(f"function {function.name!r} returned what is not JSON: {error}") from None


def _add(new: Function) -> None:
    for name in (new.name, *new.aliases):
        old = _functions.get(name)
        if old and old.run.__module__ != new.run.__module__:
            raise ValueError(f"the name {name!r} is taken by {old.run.__module__}")
        _functions[name] = new


def _parameter_model(run: Callable[..., Any]) -> type[BaseModel]:
    arguments = list(inspect.signature(run).parameters)
    model = typing.get_type_hints(run).get(arguments[1]) if len(arguments) == 2 else None
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise TypeError(f"{run.__qualname__} must be (call: Call, parameters: <a pydantic model>)")
    return model


@cache
def _builtin_modules() -> frozenset[str]:
    package = importlib.import_module("agents.functions")
    return frozenset(m.name for m in pkgutil.iter_modules(package.__path__)) - {"base", "registry"}


def _load_all() -> None:
    global _all_loaded
    if _all_loaded:
        return
    for name in sorted(_builtin_modules()):
        importlib.import_module(f"agents.functions.{name}")
    for module in setting("FUNCTION_MODULES", ()):
        importlib.import_module(module)
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry.load()
        except Exception:  # another package's fault: it costs its functions, never the server
            logger.exception("entry point %s of %s can't be loaded: skipped", entry.name, ENTRY_POINT_GROUP)
    _all_loaded = True


def _from_context(function: Function, parameters: Mapping[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
    borrowed = {}
    for name, spellings in function.spellings().items():
        if name in context and not any(spelling in parameters for spelling in spellings):
            extra = function.parameters.model_fields[name].json_schema_extra
            if not (isinstance(extra, dict) and extra.get("x-explicit")):
                borrowed[name] = context[name]
    return borrowed


def _has_expression(value: object) -> bool:
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, Mapping):
        return any(_has_expression(item) for pair in value.items() for item in pair)
    return isinstance(value, list) and any(_has_expression(item) for item in value)


def _invalid(
    function: Function, error: ValidationError, given: Mapping[str, Any], borrowed: Mapping[str, Any]
) -> InvalidParameters:
    problems = [
        {"path": dotted(path), "message": _message(function, path, message, given, borrowed)}
        for path, message in mistakes(error, {**borrowed, **given})
    ]
    told = "; ".join(f"{p['path']}: {p['message']}" if p["path"] else p["message"] for p in problems)
    return InvalidParameters(f"{function.name}: {told}", problems)


def _message(
    function: Function, path: Path, message: str, given: Mapping[str, Any], borrowed: Mapping[str, Any]
) -> str:
    """The message, and where the value came from or might have come from."""
    name = str(path[0]) if path else ""
    if name in borrowed:
        return f"{message} (from the context)"
    if len(path) != 1 or name in given:
        return message
    message = f"{message}, and neither the parameters nor the context has it"
    meant = next((odd for odd, near in unknown_parameters(function, given).items() if near == name), None)
    return f"{message}; is {meant!r} meant for it?" if meant else message


def _unknown_problem(name: str, nearest: str | None) -> dict[str, Any]:
    message = f"unknown parameter {name!r} is ignored" + (f"; did you mean {nearest!r}?" if nearest else "")
    return {"path": name, "message": message, "severity": "warning", "code": "unknown_parameter"}
