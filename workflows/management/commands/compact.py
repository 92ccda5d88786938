"""``manage.py compact``: make the SQLite file as small as what is in it."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection

from workflows import compaction


class Command(BaseCommand):
    help = "Write the SQLite file anew, without free pages. Stop worker and web server before, or let them wait."

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "sqlite":
            self.stdout.write("Nothing to do: PostgreSQL's autovacuum makes room for new rows by itself.")
            return
        before, after = compaction.compact()
        self.stdout.write(f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now.")
