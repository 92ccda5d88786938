"""`manage.py sync_agents [FILE]`: brings the agents in line with `config/agents.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agents.conf import setting
from agents.config import AgentsFileError
from agents.inference import NO_MODEL, model_connected
from agents.sync import SyncReport, sync


class Command(BaseCommand):
    """Reads the file, tells all its problems at once, and changes nothing if it has any."""

    help = "Reads agents, engines and functions from config/agents.yaml, or from another file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, default=Path(setting("AGENTS_FILE")))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = sync(options["file"])
        except AgentsFileError as error:
            raise CommandError(str(error)) from None
        for warning in report.warnings:
            self.stderr.write(f"warning: {warning}")
        if options["verbosity"]:
            self.stdout.write(_summary(report))
            if not model_connected():
                self.stdout.write(NO_MODEL)


def _summary(report: SyncReport) -> str:
    counts = [
        f"{len(names)} {word}{': ' + ', '.join(names) if names and word != 'unchanged' else ''}"
        for word, names in (
            ("created", report.created),
            ("updated", report.updated),
            ("unchanged", report.unchanged),
            ("disabled", report.disabled),
        )
        if names
    ]
    return "Agents: " + ("; ".join(counts) or "none")
