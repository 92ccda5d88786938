"""Checks Python source without running it: syntax, pyflakes, structure. A script, for a process of its own.

Reads source from standard input, writes `{syntax_ok, functions, classes, imports, findings}` as JSON. It runs
apart because hostile source can exhaust the parser's stack and end the process, and because its work can't be
interrupted otherwise. Imports nothing of this project, so that it starts quickly.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator
from typing import Any

CPU_SECONDS = 10
MEMORY_BYTES = 512 * 1024 * 1024
LONG_FUNCTION = 60
MANY_BRANCHES = 12
MANY_ARGUMENTS = 7
DEEP_NESTING = 5

Finding = dict[str, Any]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_BRANCHES = (
    ast.If,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.ExceptHandler,
    ast.IfExp,
    ast.comprehension,
    ast.match_case,
)
_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.Match)
_DANGEROUS = {"eval": "runs text as code", "exec": "runs text as code", "compile": "may run text as code"}
_DANGEROUS_ATTRIBUTES = {
    ("os", "system"): "runs a shell command",
    ("os", "popen"): "runs a shell command",
    ("pickle", "load"): "unpickling untrusted input runs code",
    ("pickle", "loads"): "unpickling untrusted input runs code",
    ("yaml", "load"): "yaml.load may build any object; use safe_load",
    ("tempfile", "mktemp"): "racy; use mkstemp or NamedTemporaryFile",
}


def check(source: str) -> dict[str, Any]:
    """Everything that can be told about the source without running it. Lines count from 1."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return {
            "syntax_ok": False,
            "functions": [],
            "classes": 0,
            "imports": [],
            "findings": [_syntax(error)],
        }
    nodes = list(ast.walk(tree))
    functions = [n for n in nodes if isinstance(n, FunctionNode)]
    findings = [*_linted(tree), *_security(nodes), *_dangerous_defaults(functions), *_structure(functions)]
    return {
        "syntax_ok": True,
        "functions": [_described(f) for f in functions[:200]],
        "classes": sum(isinstance(n, ast.ClassDef) for n in nodes),
        "imports": sorted({name for n in nodes for name in _imported(n)})[:200],
        "findings": sorted(findings, key=lambda f: f["line"] or 0)[:200],
    }


def _finding(kind: str, line: int | None, message: str, severity: str = "warning") -> Finding:
    return {"kind": kind, "severity": severity, "line": line, "message": message}


def _syntax(error: BaseException) -> Finding:
    line = getattr(error, "lineno", None)
    message = getattr(error, "msg", None) or str(error) or "nested too deeply"
    return _finding("syntax", line, f"syntax error: {message}", "error")


def _linted(tree: ast.Module) -> list[Finding]:
    try:
        return list(_lint(tree))
    except RecursionError:
        return [_finding("lint", None, "nested too deeply for the linter")]


def _lint(tree: ast.Module) -> Iterator[Finding]:
    from pyflakes.checker import Checker

    for message in Checker(tree, filename="source").messages:
        name = type(message).__name__
        severity = "error" if name.startswith("Undefined") else "warning"
        yield _finding("lint", message.lineno, f"{message.message % message.message_args} ({name})", severity)


def _security(nodes: list[ast.AST]) -> Iterator[Finding]:
    for node in nodes:
        if isinstance(node, ast.Call):
            yield from _dangerous_call(node)
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield _finding("robustness", node.lineno, "bare except catches KeyboardInterrupt and SystemExit too")
        elif isinstance(node, ast.Assign) and _is_hard_coded_secret(node):
            yield _finding("security", node.lineno, "a secret is written in the source", "error")


def _dangerous_call(node: ast.Call) -> Iterator[Finding]:
    reason = None
    if isinstance(node.func, ast.Name):
        reason = _DANGEROUS.get(node.func.id)
    elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        reason = _DANGEROUS_ATTRIBUTES.get((node.func.value.id, node.func.attr))
    if reason:
        yield _finding("security", node.lineno, f"{ast.unparse(node.func)}: {reason}")
    if any(k.arg == "shell" and isinstance(k.value, ast.Constant) and k.value.value is True for k in node.keywords):
        yield _finding("security", node.lineno, "shell=True lets text in the command run other commands")
    if any(k.arg == "verify" and isinstance(k.value, ast.Constant) and k.value.value is False for k in node.keywords):
        yield _finding("security", node.lineno, "verify=False switches the check of TLS certificates off")


def _is_hard_coded_secret(node: ast.Assign) -> bool:
    names = [t.id.lower() for t in node.targets if isinstance(t, ast.Name)]
    secret = any(word in name for name in names for word in ("password", "secret", "api_key", "token"))
    value = node.value.value if isinstance(node.value, ast.Constant) else None
    return secret and isinstance(value, str) and len(value) >= 6


def _dangerous_defaults(functions: list[FunctionNode]) -> Iterator[Finding]:
    for node in functions:
        defaults = [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
        if any(isinstance(d, ast.List | ast.Dict | ast.Set) for d in defaults):
            yield _finding("robustness", node.lineno, f"{node.name}: a mutable default is shared between calls")


def _structure(functions: list[FunctionNode]) -> Iterator[Finding]:
    for node in functions:
        shape = _described(node)
        if shape["lines"] > LONG_FUNCTION:
            yield _finding("structure", node.lineno, f"{node.name} has {shape['lines']} lines", "note")
        if shape["complexity"] > MANY_BRANCHES:
            yield _finding("structure", node.lineno, f"{node.name} has a complexity of {shape['complexity']}", "note")
        if shape["arguments"] > MANY_ARGUMENTS:
            yield _finding("structure", node.lineno, f"{node.name} has {shape['arguments']} arguments", "note")
        if shape["nesting"] > DEEP_NESTING:
            yield _finding("structure", node.lineno, f"{node.name} nests {shape['nesting']} blocks", "note")
        if not shape["documented"] and not node.name.startswith("_"):
            yield _finding("documentation", node.lineno, f"{node.name} has no docstring", "note")


def _described(node: FunctionNode) -> dict[str, Any]:
    """A function's measures; complexity as McCabe counts it (branches + 1)."""
    inside = list(ast.walk(node))
    bools = sum(len(n.values) - 1 for n in inside if isinstance(n, ast.BoolOp))
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return {
        "name": node.name,
        "line": node.lineno,
        "lines": (node.end_lineno or node.lineno) - node.lineno + 1,
        "arguments": len([a for a in arguments if a.arg not in {"self", "cls"}]),
        "complexity": 1 + sum(isinstance(n, _BRANCHES) for n in inside) + bools,
        "nesting": _nesting(node),
        "documented": ast.get_docstring(node) is not None,
    }


def _nesting(node: ast.AST) -> int:
    deepest, waiting = 0, [(node, 0)]
    while waiting:
        current, depth = waiting.pop()
        deepest = max(deepest, depth)
        for child in ast.iter_child_nodes(current):
            waiting.append((child, depth + isinstance(child, _BLOCKS)))
    return deepest


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def _limit_this_process() -> None:
    if sys.platform == "linux":  # end with the parent; elsewhere the CPU limit ends what the parent's death left
        import ctypes

        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


if __name__ == "__main__":
    _limit_this_process()
    json.dump(check(sys.stdin.buffer.read().decode()), sys.stdout)
