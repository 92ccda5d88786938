"""Deleting runs that ended long ago, recorded in the site's chain: `KOLOSAL_RETENTION_DAYS`."""

import time
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import CASCADE, Exists, ManyToOneRel, OuterRef, QuerySet

from workflows import append_only, audit
from workflows.models import Run
from workflows.states import RUN_ACTIVE, RUN_ENDED
from workflows.workers import database_now

SECONDS = 1.0  # spent on it in one sweep; what is left waits for the next
AT_ONCE = 200  # runs of one transaction
ACTOR = "sweep"


def delete_old() -> int:
    """Delete ended runs that are older than the setting says, for some seconds. Returns how many.

    A run stays as long as a rerun of it is under way, or its parent. Workflows, versions and the site's events stay.
    """
    if not settings.RETENTION_DAYS:
        return 0
    before = database_now() - timedelta(days=settings.RETENTION_DAYS)
    until, deleted = time.monotonic() + SECONDS, 0
    while time.monotonic() < until and _old(before).exists():
        began = time.monotonic()
        number = _delete_some(before)
        if number == 0:  # others have them
            break
        deleted += number
        time.sleep(time.monotonic() - began)  # so that SQLite's one write lock is free for half of the time
    return deleted


def _old(before: datetime) -> QuerySet[Run]:
    """Whose rerun is under way is not among them: the rerun's row is its worker's, and names the older run.

    Nor whose parent is, which may be paused and yet to read how its child ended: it would start the child again.
    """
    under_way = Run.objects.filter(rerun_of=OuterRef("pk"), status__in=RUN_ACTIVE)
    parent = Run.objects.filter(pk=OuterRef("parent"), status__in=RUN_ACTIVE)
    ended = Run.objects.filter(ended_at__lt=before, status__in=RUN_ENDED)
    return ended.filter(~Exists(under_way), ~Exists(parent)).order_by("ended_at")


@transaction.atomic
def _delete_some(before: datetime) -> int:
    """One batch with its event ``runs_deleted {runs: [[id, seq, head], …]}``, in one transaction."""
    audit.lock()
    # PostgreSQL looks at the condition again once a row is locked: a run that was retried meanwhile is not among them.
    rows = _old(before).select_for_update(skip_locked=True)
    heads = list(rows.values_list("pk", "event_seq", "event_head")[:AT_ONCE])
    if heads:
        with append_only.deleting():
            _erase([pk for pk, _, _ in heads])
        audit.record("runs_deleted", actor=ACTOR, subject="", runs=[[str(pk), seq, head] for pk, seq, head in heads])
    return len(heads)


def _erase(ids: list[uuid.UUID]) -> None:
    """Delete runs and every row of theirs without loading one; rows that only name a run forget it."""
    for relation in Run._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel):
            name = relation.field.name
            rows = relation.related_model._base_manager.filter(**{f"{name}__in": ids})
            if relation.on_delete is CASCADE:
                rows._raw_delete(rows.db)
            else:
                rows.update(**{name: None})
    runs = Run.objects.filter(pk__in=ids)
    runs._raw_delete(runs.db)
