"""Seals: the site's chain records where the chains of ended runs end, so that a run rewritten as a whole is found."""

import time
from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from workflows import audit
from workflows.models import Event, Run

EVERY = timedelta(minutes=1)
SECONDS = 1.0  # spent on it in a row; what is left waits for the next time
AT_ONCE = 500  # runs of one event, some 60 KB
ACTOR = "sweep"


def seal_if_due() -> int:
    """Seal, unless somebody did within a minute. Two who do it at once seal different runs, or one of them none."""
    return seal() if _unsealed().exists() and not _was_done_lately() else 0


def seal() -> int:
    """Record number and hash of the newest event of ended runs that are not sealed as they are. Returns how many runs.

    Writes events ``runs_sealed {runs: [[id, seq, head], …]}``. A run that is retried is to be sealed anew at its end.
    """
    until, sealed = time.monotonic() + SECONDS, 0
    while time.monotonic() < until and _unsealed().exists() and (number := _seal_some()):
        sealed += number
    return sealed


def _was_done_lately() -> bool:
    newest = Event.objects.filter(run__isnull=True, type="runs_sealed").order_by("-seq").first()
    return newest is not None and newest.at > timezone.now() - EVERY


@transaction.atomic
def _seal_some() -> int:
    audit.lock()
    # Locked rows keep their heads until the commit. One that is locked is being retried or deleted: it is passed over.
    rows = _unsealed().select_for_update(skip_locked=True).order_by("pk")
    heads = list(rows.values_list("pk", "event_seq", "event_head")[:AT_ONCE])
    if heads:
        audit.record("runs_sealed", actor=ACTOR, subject="", runs=[[str(pk), seq, head] for pk, seq, head in heads])
        Run.objects.filter(pk__in=[pk for pk, _, _ in heads]).update(sealed=True)
    return len(heads)


def _unsealed() -> QuerySet[Run]:
    return Run.objects.filter(ended_at__isnull=False, sealed=False)
