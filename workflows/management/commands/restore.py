"""``manage.py restore FILE``: make a backup the store, where there is none."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from kolosal.backup import BackupFailed, progress_bar, restore


class Command(BaseCommand):
    help = "Make a backup the store. Replaces nothing: the SQLite file must not exist, the database must be empty."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="a file that `manage.py backup` has written")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            with progress_bar() as progress:
                copying = progress.add_task(f"Restoring {file.name}", total=None)
                restore(file.absolute(), lambda done, total: progress.update(copying, completed=done, total=total))
        except BackupFailed as error:
            raise CommandError(str(error)) from None
        self.stdout.write("restored; now run `manage.py migrate`, then start what serves and works")
