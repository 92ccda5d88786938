"""``manage.py verify_runs``: check that no run is stuck, doubled, or at odds with its events."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from workflows import invariants, runs
from workflows.errors import RunNotFound
from workflows.management.checking import Ticks, tell
from workflows.models import Run


class Command(BaseCommand):
    help = "Check every run against the rules that hold at any moment. Exit code 0, 1 if one is broken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--run", metavar="ID", help="check this run only")
        parser.add_argument(
            "--settled", action="store_true", help="all work has come to rest: no expired lease, nothing left over"
        )

    def handle(self, *args: Any, run: str | None = None, settled: bool = False, **options: Any) -> None:
        console = Console()
        ids = None if run is None else [_known(run)]
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            ticks = Ticks(progress, "runs", Run.objects.count() if ids is None else 1)
            found = tell(console, invariants.broken(settled=settled, run_ids=ids, on_checked=ticks))
        if found:
            raise SystemExit(1)
        console.print(f"[green]{ticks.done:,} runs checked, no invariant is broken.[/]", highlight=False)


def _known(run_id: str) -> Any:
    try:
        return runs.get(run_id).pk
    except RunNotFound as error:
        raise CommandError(str(error), returncode=2) from None
