"""`manage.py export_schema`: the JSON Schema of a workflow definition, for editors."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from workflows.definitions.writing import json_schema


class Command(BaseCommand):
    help = "Print the JSON Schema of a workflow definition, or write it to a file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--output", metavar="FILE", type=Path, help="file to write, in place of printing")

    def handle(self, *args: Any, output: Path | None = None, **options: Any) -> None:
        text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
        if output is None:
            self.stdout.write(text, ending="")
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"can't write {output}: {error.strerror}") from None
        self.stdout.write(f"written to {output}")
