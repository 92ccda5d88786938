"""``manage.py run_workflow FILE``: run a definition in this process and watch it."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from workflows import inprocess
from workflows.audit import EventRow
from workflows.catalog import Catalog
from workflows.changes import Change
from workflows.definitions import Definition, Problem, check, read_file
from workflows.errors import DefinitionError, InputInvalid
from workflows.models import Run
from workflows.results import result_body

COLOURS = {
    "completed": "green",
    "running": "cyan",
    "retrying": "yellow",
    "skipped": "dim",
    "failed": "red",
    "timed_out": "red",
    "cancelled": "magenta",
    "pending": "dim",
}


class Command(BaseCommand):
    help = "Run a YAML or JSON definition in this process. Exit code 0, 1 if the run failed, 2 for a bad definition."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the definition: .yaml, .yml or .json")
        parser.add_argument(
            "--input", nargs="*", default=[], metavar="KEY=VALUE", help="input of the run; a value may be JSON"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(quiet=options["json"])
        inprocess.set_up_if_new()
        definition = _read(options["file"])
        board = _Board(definition)
        try:
            with Live(board.table(), console=console, refresh_per_second=10, get_renderable=board.table):
                run = inprocess.run(definition, _parse(options["input"]), on_written=board.follow, actor="run_workflow")
        except InputInvalid as error:
            raise _refused(str(error), error.problems) from None
        if options["json"]:
            self.stdout.write(json.dumps(result_body(run), indent=2, ensure_ascii=False))
        else:
            _conclude(console, run)
        if not run.success:
            raise SystemExit(1)


class _Board:
    """The table that is shown while the run goes on: a row a step, made from the events that were written."""

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._rows: dict[str, dict[str, Any]] = {step.step_id: {"status": "pending"} for step in definition.steps}

    def follow(self, change: Change) -> None:
        for event in change.events:
            if event.path in self._rows:
                self._rows[event.path] |= _seen(event)

    def table(self) -> Table:
        table = Table(title=self._definition.name, title_justify="left", expand=True)
        for name in ("step", "agent", "status"):
            table.add_column(name)
        for name in ("tries", "ms"):
            table.add_column(name, justify="right")
        table.add_column("", ratio=1)
        for step in self._definition.steps:
            row = self._rows[step.step_id]
            status = Text(row["status"], style=COLOURS.get(row["status"], ""))
            spent = f"{row['ms']:,.1f}" if "ms" in row else ""
            note = Text(row.get("note", ""), overflow="ellipsis")
            table.add_row(step.step_id, step.agent_id, status, str(row.get("attempt", "")), spent, note)
        return table


def _seen(event: EventRow) -> dict[str, Any]:
    data = json.loads(event.data)
    match event.type:
        case "step_start":
            return {"status": "running", "attempt": data["attempt"]}
        case "step_retry":
            return {"status": "retrying", "note": f"again in {data['retry_in_ms'] / 1000:.1f} s: {data['error']}"}
        case "step_skipped":
            return {"status": "skipped", "note": data["reason"]}
        case "step_complete":
            status = "completed" if data["success"] else "failed"
            return {"status": status, "ms": data["execution_time_ms"], "note": data.get("error", "")}
    return {}


def _read(path: str) -> Definition:
    try:
        checked = check(read_file(Path(path)), Catalog())
    except OSError as error:
        raise CommandError(f"{path} can't be read: {error.strerror}", returncode=2) from None
    except DefinitionError as error:
        raise _refused(f"{path} is not a workflow definition:", error.problems) from None
    if checked.definition is None:
        raise _refused(f"{path} is not a workflow definition that can be run:", checked.problems)
    return checked.definition


def _refused(message: str, problems: list[Problem]) -> CommandError:
    lines = [
        f"  line {problem.line}, column {problem.column}: {problem.path}: {problem.message}"
        if problem.line
        else f"  {problem.path}: {problem.message}"
        for problem in problems
    ]
    return CommandError("\n".join([message, *lines]), returncode=2)


def _parse(pairs: list[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key:
            raise CommandError(f"--input takes KEY=VALUE, not {pair!r}", returncode=2)
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return given


def _conclude(console: Console, run: Run) -> None:
    if not console.is_terminal:
        console.line()  # a terminal's table has ended its line already
    colour = COLOURS.get(run.status, "red")
    told = f": {run.error_message}" if run.error_message else ""
    console.print(f"[bold {colour}]{run.status}[/]{told}", highlight=False)
    last = run.steps.filter(superseded=False, status="completed").order_by("-ended_seq").first()
    if last is not None and last.result:
        console.print(f"Result of [bold]{last.path}[/]:", highlight=False)
        text = last.result.get("text")
        shown = text if isinstance(text, str) else json.dumps(last.result, indent=2, ensure_ascii=False)
        console.print(shown, markup=False)
