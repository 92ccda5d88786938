"""Who imports whom: the floors of ``docs/architecture.md``, held by every module.

A module imports from its own floor and from those below. Imports inside functions count; those that only type
checkers see do not.
"""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agents", "workflows", "kolosal")

# Floor → files, as in the table of docs/architecture.md. The most exact pattern counts.
FLOORS: dict[int, list[str]] = {
    0: [
        "agents/__init__.py",
        "agents/errors.py",
        "agents/artifacts.py",
        "agents/conf.py",
        "agents/plain.py",
        "agents/wording.py",
        "agents/places.py",
        "agents/network.py",
        "agents/http.py",
        "agents/quoting.py",
        "agents/inference.py",
        "agents/tools.py",
        "agents/providers/*",
        "agents/functions/*",
        "agents/text/*",
        "agents/data/*",
    ],
    1: [
        "agents/apps.py",
        "agents/config.py",
        "agents/models.py",
        "agents/sync.py",
        "agents/configured.py",
        "agents/catalog.py",
        "workflows/states.py",
        "workflows/errors.py",
        "workflows/nearest.py",
        "workflows/process_group.py",
        "workflows/faults.py",
        "workflows/outages.py",
    ],
    2: [
        "workflows/definitions/*",
        "workflows/expressions/*",
        "workflows/retries.py",
        "workflows/masking.py",
        "workflows/outcomes.py",
    ],
    3: ["workflows/models/*"],
    4: [
        "workflows/cached_results.py",
        "workflows/flame_graph.py",
        "workflows/profiling.py",
        "workflows/signals.py",
        "workflows/catalog.py",
        "workflows/acting.py",
        "workflows/append_only.py",
        "workflows/audit.py",
        "workflows/held.py",
        "workflows/statements.py",
        "workflows/questions.py",
        "workflows/bell.py",
        "workflows/changes.py",
        "workflows/scope.py",
        "workflows/generated.py",
        "workflows/recall.py",
        "workflows/helper_child.py",
        "workflows/helper_processes.py",
        "workflows/calling.py",
        "workflows/execution.py",
        "workflows/dispatch.py",
        "workflows/generated.py",
        "workflows/recall.py",
    ],
    5: [
        "workflows/transitions/*",
        "workflows/replay.py",
        "workflows/examination.py",
        "workflows/roles.py",
        "workflows/row_events.py",
        "workflows/account_events.py",
    ],
    6: [
        "workflows/workers.py",
        "workflows/claims.py",
        "workflows/limits.py",
        "workflows/suspicion.py",
        "workflows/requests.py",
        "workflows/shares.py",
        "workflows/retrying.py",
        "workflows/slots.py",
        "workflows/starting.py",
        "workflows/children.py",
        "workflows/control.py",
        "workflows/attempts.py",
        "workflows/waits.py",
        "workflows/walk.py",
        "workflows/ledger.py",
        "workflows/attempt_texts.py",
        "workflows/lease.py",
        "workflows/starting.py",
        "workflows/children.py",
        "workflows/control.py",
        "workflows/attempts.py",
        "workflows/waits.py",
        "workflows/walk.py",
        "workflows/run_task.py",
        "workflows/engine.py",
        "workflows/engine_thread.py",
    ],
    7: [
        "workflows/runs.py",
        "workflows/approvals.py",
        "workflows/start_keys.py",
        "workflows/publishing.py",
        "workflows/drafts.py",
        "workflows/trying.py",
        "workflows/templates.py",
        "workflows/template_batches.py",
        "workflows/inprocess.py",
        "workflows/results.py",
        "workflows/why.py",
        "workflows/loads.py",
        "workflows/time_split.py",
        "workflows/step_times.py",
        "workflows/graphs/*",
        "workflows/invariants.py",
        "workflows/verification.py",
        "workflows/artifact_proof.py",
        "workflows/seals.py",
        "workflows/export.py",
        "workflows/trail.py",
        "workflows/trail_check.py",
        "workflows/retention.py",
        "workflows/compaction.py",
    ],
    8: [
        "workflows/builder.py",
        "workflows/brokers/*",
        "workflows/tasks.py",
        "workflows/pacemaker.py",
        "workflows/system_checks.py",
        "workflows/streaming.py",
        "workflows/follow.py",
        "workflows/watching.py",
        "workflows/metrics.py",
    ],
    9: [
        "agents/admin.py",
        "agents/management/*",
        "workflows/__init__.py",
        "workflows/apps.py",
        "workflows/api/*",
        "workflows/admin/*",
        "workflows/management/*",
        "kolosal/*",
    ],
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "migrations" not in path.parts
}


def floor_of(name: str) -> int | None:
    """The floor of a module; None for one that the table does not have."""
    file = MODULES[name].relative_to(ROOT).as_posix()
    found = [
        (len(pattern), floor)
        for floor, patterns in FLOORS.items()
        for pattern in patterns
        if fnmatchcase(file, pattern)
    ]
    return max(found)[1] if found else None


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imported(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Names of modules that are imported below ``node``, with the line."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, child.lineno) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"a relative import in line {child.lineno}: write the whole name"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield (whole if whole in MODULES else str(child.module)), child.lineno
        elif is_type_checking(child):
            assert isinstance(child, ast.If)
            yield from imported(ast.Module(child.orelse, []))
        else:
            yield from imported(child)


@cache
def imports_of(name: str) -> list[tuple[str, int]]:
    """Our own modules that a module imports, with the line."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    return [(target, line) for target, line in imported(tree) if target in MODULES and target != name]


def reachable(name: str) -> set[str]:
    """Every module that a module imports, directly or through others."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        fresh = {target for target, _ in imports_of(waiting.pop())} - found
        found |= fresh
        waiting += fresh
    return found


def place(name: str, line: int) -> str:
    return f"{MODULES[name].relative_to(ROOT)}:{line}"


def test_every_module_has_a_floor() -> None:
    strangers = [str(path.relative_to(ROOT)) for name, path in MODULES.items() if floor_of(name) is None]
    assert not strangers, f"give them a floor here and in docs/architecture.md: {', '.join(strangers)}"


def test_every_pattern_of_the_table_names_a_file() -> None:
    files = [path.relative_to(ROOT).as_posix() for path in MODULES.values()]
    patterns = [pattern for row in FLOORS.values() for pattern in row]
    unused = [pattern for pattern in patterns if not any(fnmatchcase(file, pattern) for file in files)]
    assert not unused


def test_nothing_imports_upwards() -> None:
    upwards = [
        f"{place(name, line)} (floor {floor_of(name)}) imports {target} (floor {floor_of(target)})"
        for name in MODULES
        for target, line in imports_of(name)
        if (above := floor_of(target)) is not None and (own := floor_of(name)) is not None and above > own
    ]
    assert not upwards, "\n" + "\n".join(upwards)


def test_agents_know_nothing_of_workflows() -> None:
    wrong = [
        f"{place(name, line)} imports {target}"
        for name in MODULES
        if name.startswith("agents")
        for target, line in imports_of(name)
        if not target.startswith("agents")
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_modules_import_each_other_in_a_circle() -> None:
    reach = {name: reachable(name) for name in MODULES}
    circles = {
        " ↔ ".join(sorted(other for other in reach[name] if name in reach[other]))
        for name in MODULES
        if name in reach[name]
    }
    assert not circles, "\n" + "\n".join(sorted(circles))


def test_the_documentation_has_the_same_table() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    documented: dict[int, set[str]] = {}
    for floor, files in re.findall(r"^\| (\d) \| ((?:`[^`]+`(?:, )?)+) \|", text, re.MULTILINE):
        documented.setdefault(int(floor), set()).update(re.findall(r"`([^`]+)`", files))
    assert documented == {floor: set(patterns) for floor, patterns in FLOORS.items()}


def test_imports_inside_functions_and_after_else_are_seen_and_those_for_type_checkers_are_not() -> None:
    tree = ast.parse(
        "if TYPE_CHECKING:\n    import workflows.runs\nelse:\n    import workflows.states\n"
        "def f():\n    from workflows import engine\n"
    )
    assert list(imported(tree)) == [("workflows.states", 4), ("workflows.engine", 6)]
