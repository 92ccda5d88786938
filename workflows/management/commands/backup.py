"""``manage.py backup FILE``: copy the store while everything runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kolosal.backup import BackupFailed, back_up, progress_bar


class Command(BaseCommand):
    help = "Write a consistent copy of the store to a new file. Nothing needs to be stopped for it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the file to make; it must not exist")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            with progress_bar() as progress:
                copying = progress.add_task(f"Backing up to {file.name}", total=None)
                back_up(file.absolute(), lambda done, total: progress.update(copying, completed=done, total=total))
        except BackupFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"written to {file} ({file.stat().st_size / 1e6:,.1f} MB)")
