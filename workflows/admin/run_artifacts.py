"""Files that the steps of a run made, as its page shows them."""

from collections.abc import Collection
from dataclasses import dataclass

from django.urls import reverse

from workflows.models import Artifact, Run

SHOWN = 200  # on one page; the API lists all
LARGEST_PICTURE = 1024 * 1024  # bytes of one that is shown at once


@dataclass(frozen=True, slots=True)
class File:
    """A file, where it can be saved, and where it can be looked at, if pages may show it.

    Pictures are shown by an `img` alone, in which nothing of them is run.
    """

    row: Artifact
    url: str
    is_shown: bool


def files_of(run: Run, paths: Collection[str]) -> dict[str, list[File]]:
    """Path → files of the steps' results that count, those of failed attempts too."""
    found: dict[str, list[File]] = {}
    if not run.artifact_count:
        return found
    rows = run.artifacts.without_content().filter(superseded=False, path__in=paths).order_by("pk")
    for row in rows[:SHOWN]:
        found.setdefault(row.path, []).append(_file(row))
    return found


def _file(row: Artifact) -> File:
    url = reverse("runs-artifact", args=[row.run_id, row.pk])
    return File(row, url, is_shown=row.is_picture and row.size <= LARGEST_PICTURE)
