"""``manage.py write_docs``: make the generated parts of the documentation anew, or check them."""

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from kolosal.docs.markers import MarkerError, renewed
from kolosal.docs.parts import PARTS


class Command(BaseCommand):
    help = "Write the generated parts of README.md and docs/*.md; with --check only say which are old."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="only say which files are not up to date")

    def handle(self, *args: Any, check: bool = False, **options: Any) -> None:
        old = dict(_outdated(Path(settings.BASE_DIR)))
        if check and old:
            names = ", ".join(str(path.relative_to(settings.BASE_DIR)) for path in old)
            raise CommandError(f"not up to date: {names}; `make fix` writes what is generated in them anew")
        for path, text in old.items():
            path.write_text(text, encoding="utf-8")
            self.stdout.write(f"{path.relative_to(settings.BASE_DIR)} written")


def _outdated(root: Path) -> Iterator[tuple[Path, str]]:
    """Files whose generated parts are not what the code says, and their text as it should be."""
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        try:
            fresh = renewed(text, PARTS)
        except MarkerError as error:
            raise CommandError(f"{path.relative_to(root)}, {error}") from None
        if fresh != text:
            yield path, fresh
