"""Finding runs by the beginning of their id, by their workflow, and by words of their errors and inputs."""

import re
import uuid
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from workflows.models.workflow import Workflow

if TYPE_CHECKING:
    from workflows.models.run import Run

HEXADECIMAL = re.compile(r"[0-9a-f]{6,32}")
WORD = re.compile(r"\w+")
MOST_WORDS = 20
MOST_WORKFLOWS = 100
NEWEST = 10_000
"""Runs that a search looks at on SQLite, which has no index of words here."""

WORDS_OF_A_RUN = """to_tsvector('simple', left(
    "workflows_run"."error_code" || ' ' || "workflows_run"."error_message" || ' ' || "workflows_run"."input", 10000
))"""
"""The words that a run is found by, as the index on PostgreSQL has them (migration `0010_lists`)."""


def ids_beginning_with(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The first and last UUID that begin with ``text`` (6 hex digits or more, hyphens ignored), or None.

    A range, not a pattern: it uses the primary key's index on both stores.
    """
    digits = text.strip().lower().replace("-", "")
    if not HEXADECIMAL.fullmatch(digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


def search(runs: "QuerySet[Run]", text: str) -> "QuerySet[Run]":
    """Those whose id begins with the text, or whose workflow's id or name has it, or whose error and input have words
    that begin with each of its words. On SQLite only among the newest.
    """
    if span := ids_beginning_with(text):
        return runs.filter(pk__range=span)
    named = Q(workflow_id__icontains=text) | Q(name__icontains=text)
    workflows = list(Workflow.objects.filter(named).order_by("-pk").values_list("pk", flat=True)[:MOST_WORKFLOWS])
    if connection.vendor == "postgresql":
        return runs.filter(Q(workflow__in=workflows) | Q(_has_words(text)))
    said = Q(error_code__icontains=text) | Q(error_message__icontains=text) | Q(input__icontains=text)
    return _newest(runs).filter(Q(workflow__in=workflows) | said)


def _has_words(text: str) -> RawSQL:
    words = WORD.findall(text)[:MOST_WORDS]
    query = " & ".join(f"'{word}':*" for word in words)
    return RawSQL(f"{WORDS_OF_A_RUN} @@ to_tsquery('simple', %s)", [query], output_field=BooleanField())  # noqa: S611


def _newest(runs: "QuerySet[Run]") -> "QuerySet[Run]":
    oldest = runs.model.objects.order_by("-pk").values_list("pk", flat=True)[NEWEST - 1 : NEWEST].first()
    return runs if oldest is None else runs.filter(pk__gte=oldest)
