"""``manage.py run_workflow FILE``: run a definition in this process and watch it."""

import json
import uuid
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
from workflows.definitions import Definition, FunctionStep, Problem, check, read_file, walk
from workflows.errors import DefinitionError, InputInvalid
from workflows.models import Run
from workflows.results import result_body

WHERE_TO_ANSWER = "To be answered in the admin, or over the API, of a server on the same store: POST "

COLOURS = {
    "completed": "green",
    "running": "cyan",
    "retrying": "yellow",
    "waiting": "yellow",
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
        parser.add_argument(
            "--profile", action="store_true", help="keep a flame graph of each call of a plain function, as an artifact"
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(quiet=options["json"])
        inprocess.set_up_if_new()
        definition = _read(options["file"])
        board = _Board(definition)
        try:
            with Live(board.table(), console=console, refresh_per_second=10, get_renderable=board.table):
                run = inprocess.run(
                    definition,
                    _parse(options["input"]),
                    on_written=board.follow,
                    actor="run_workflow",
                    profile=options["profile"],
                )
                board.take(run)
        except InputInvalid as error:
            raise _refused(str(error), error.problems) from None
        if options["json"]:
            self.stdout.write(json.dumps(result_body(run), indent=2, ensure_ascii=False))
        else:
            _conclude(console, run)
        if not run.success:
            raise SystemExit(1)


class _Board:
    """The table that is shown while the run goes on, made from the events that were written.

    It begins with a row for each step outside of blocks; those inside come when they begin.
    """

    def __init__(self, definition: Definition) -> None:
        self._definition = definition
        self._rows: dict[str, dict[str, Any]] = {step.step_id: {"status": "pending"} for step in definition.steps}
        self._who = {
            step.step_id: step.agent_id if isinstance(step, FunctionStep) else step.kind
            for step in walk(definition.steps)
        }
        self._run_id: uuid.UUID | None = None

    def follow(self, change: Change) -> None:
        self._run_id = change.run_id
        for event in change.events:
            if _outermost(event.path) in self._rows and (seen := _seen(event)):
                self._row(event.path).update(seen)

    def take(self, run: Run) -> None:
        """What the rows of the ended run say: another process may have gone on with it after a wait."""
        for step in run.steps.filter(superseded=False).order_by("started_at", "pk"):
            ended = {"status": step.status, "asks": False, "note": step.error_message or step.reason}
            self._row(step.path).update(ended | ({"attempt": step.attempt} if step.attempt else {}))
            if step.ended_at and step.status != "skipped":
                self._row(step.path)["ms"] = step.duration_ms

    def _row(self, path: str) -> dict[str, Any]:
        """The row of this path; a new one stands behind those of the same block."""
        if path not in self._rows:
            rows, block = list(self._rows.items()), _outermost(path)
            last = max(place for place, (other, _) in enumerate(rows) if _outermost(other) == block)
            rows.insert(last + 1, (path, {"status": "pending"}))
            self._rows = dict(rows)
        return self._rows[path]

    def table(self) -> Table:
        asked = any(row.get("asks") for row in self._rows.values())
        table = Table(
            title=self._definition.name,
            title_justify="left",
            expand=True,
            caption=f"{WHERE_TO_ANSWER}/api/v1/runs/{self._run_id}/signal" if asked else None,
            caption_justify="left",
        )
        for name in ("step", "agent", "status"):
            table.add_column(name)
        for name in ("tries", "ms"):
            table.add_column(name, justify="right")
        table.add_column("", ratio=1)
        for path, row in self._rows.items():
            status = Text(row["status"], style=COLOURS.get(row["status"], ""))
            spent = f"{row['ms']:,.1f}" if "ms" in row else ""
            note = Text(row.get("note", ""), overflow="ellipsis")
            who = row.get("agent") or self._who.get(path.rpartition(".")[2], "")
            table.add_row(Text(path), who, status, str(row.get("attempt", "")), spent, note)
        return table


def _outermost(path: str) -> str:
    """The id of the outermost block on the path, or of the step itself."""
    return path.partition(".")[0].partition("[")[0]


def _seen(event: EventRow) -> dict[str, Any]:
    data = json.loads(event.data)
    match event.type:
        case "step_start":
            return {"status": "running", "agent": data.get("agent_name"), "attempt": data.get("attempt", "")}
        case "step_waiting":
            return {"status": "waiting", "note": _awaited(data), "asks": data.get("kind") in ("approval", "wait_for")}
        case "step_retry":
            return {"status": "retrying", "note": f"again in {data['retry_in_ms'] / 1000:.1f} s: {data['error']}"}
        case "step_skipped":
            return {"status": "skipped", "note": data["reason"]}
        case "step_complete":
            status = "completed" if data["success"] else "failed"
            return {"status": status, "ms": data["execution_time_ms"], "note": data.get("error", ""), "asks": False}
    return {}


def _awaited(data: dict[str, Any]) -> str:
    """What a step waits for, from the data of its event."""
    match data.get("kind"):
        case "approval":
            return f"{data['prompt']} ({', '.join(data['options'])})"
        case "wait_for":
            return f"for the event {data['event']}"
        case "workflow":
            return f"for {data['workflow']}"
        case "wait":
            return f"until {data['until']}"
    return "for its agent"


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
        text = last.result.get("text") if isinstance(last.result, dict) else None
        shown = text if isinstance(text, str) else json.dumps(last.result, indent=2, ensure_ascii=False)
        console.print(shown, markup=False)
