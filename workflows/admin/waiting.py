"""What waits for a person: questions that they may answer, and runs of theirs that failed; how many, on every page."""

import copy
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from kolosal.theme import APPROVALS, NAVIGATION
from workflows import approvals
from workflows.models import Run, StepResult
from workflows.models.run import HAS_FAILED

LATELY = timedelta(days=7)
MOST = 9
"""Beyond it the count says `9+`."""


def questions(request: HttpRequest) -> QuerySet[StepResult]:
    """What the person may answer, the longest waiting first."""
    return approvals.waiting().filter(approvals.asking(request.user))


def failed_runs(request: HttpRequest, now: datetime | None = None) -> QuerySet[Run]:
    """Runs that the person started and that failed within a week, the newest first.

    A run leaves the list when it is retried, when it is run again, or when the week is over: nobody has to tick it off.
    """
    since = (now or timezone.now()) - LATELY
    mine = Run.objects.filter(HAS_FAILED, actor=request.user.get_username(), ended_at__gte=since)
    again = Run.objects.filter(rerun_of=OuterRef("pk"))
    return mine.filter(~Exists(again)).select_related("workflow").defer("input").order_by("-ended_at")


def count(request: HttpRequest) -> str:
    """How much waits, up to `9+`; empty if nothing does, or if the person sees no runs, which costs no query."""
    if not request.user.has_perm("workflows.view_run"):
        return ""
    number = _bounded(questions(request))
    if number <= MOST:
        number += _bounded(failed_runs(request))
    return f"{MOST}+" if number > MOST else str(number or "")


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar, with how much waits for the person; the header shows the same."""
    groups = copy.deepcopy(NAVIGATION)
    if told := count(request):
        entry = next(item for group in groups for item in group["items"] if item["title"] == APPROVALS)
        entry |= {"badge": told, "badge_variant": "warning"}
    return groups


def _bounded(rows: QuerySet[Any]) -> int:
    return rows.order_by().values("pk")[: MOST + 1].count()
