"""How many runs of a workflow may be under way at once: ``concurrency`` of its definition, over all workers."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Count, Q
from django.utils import timezone

from workflows.definitions.models import Definition
from workflows.errors import ConcurrencyLimitReached
from workflows.models import Run, Workflow
from workflows.models.run import RunQuerySet


class Room:
    """What the limits leave free during one claim; to be made in the claim's transaction.

    The rows of limited workflows with due runs are locked before any is counted, so two claims can't both take the
    last place. A row that another claim has locked is not waited for: its workflow's runs are left to that one.
    """

    def __init__(self, now: datetime | None) -> None:
        """Without the time, where no workflow was seen to have a limit, there is room for runs of such as have none."""
        self._free = {} if now is None else _free(now)

    def exclude_full(self, rows: RunQuerySet) -> RunQuerySet:
        """Without runs of workflows that have no room."""
        open_ones = [pk for pk, free in self._free.items() if free > 0]
        return rows.filter(Q(workflow__concurrency_limit__isnull=True) | Q(workflow__in=open_ones))

    def admit(self, rows: Sequence[Run]) -> list[Run]:
        """Those of the rows, in order, that there is room for; it is taken."""
        return [row for row in rows if self._take(row.workflow_id)]

    def _take(self, workflow: int) -> bool:
        if workflow not in self._free:
            return True
        self._free[workflow] -= 1
        return self._free[workflow] >= 0


def rejects(definition: Definition) -> bool:
    """Whether one run more than the limit is refused, rather than waits in line."""
    return definition.concurrency is not None and definition.concurrency.on_limit == "reject"


def require_room(workflow: Workflow, definition: Definition) -> None:
    """Refuse one more run where the definition says ``reject``; part of the transaction that inserts the run.

    Counted are all that have not ended, queued ones too: they would be under way otherwise. Raises
    `ConcurrencyLimitReached`.
    """
    concurrency = definition.concurrency
    if concurrency is None or not rejects(definition):
        return
    Workflow.objects.select_for_update(no_key=True).get(pk=workflow.pk)
    under_way = workflow.runs.expected(timezone.now()).count()
    if under_way >= concurrency.limit:
        raise ConcurrencyLimitReached(
            f"{under_way} of {concurrency.limit} runs of workflow {workflow.workflow_id!r} that its concurrency allows "
            "at once are under way; wait for one to end, cancel one, or let the definition say on_limit: queue"
        )


def _free(now: datetime) -> dict[int, int]:
    due, lost = Run.objects.due(now).order_by(), Run.objects.lease_expired(now)
    waiting = Q(pk__in=due.values("workflow")) | Q(pk__in=lost.values("workflow"))
    limited = Workflow.objects.filter(waiting, concurrency_limit__isnull=False)
    if connection.features.has_select_for_update_skip_locked:
        # Weaker than what inserting a run of the workflow asks for, so that starting runs waits for no claim.
        limited = limited.select_for_update(skip_locked=True, no_key=True)
    limits = {pk: limit for pk, limit in limited.order_by("pk").values_list("pk", "concurrency_limit") if limit}
    return {pk: limit - taken for (pk, limit), taken in zip(limits.items(), _held(limits, now), strict=True)}


def _held(workflows: dict[int, int], now: datetime) -> list[int]:
    """How many runs of each workflow are under a live lease."""
    if not workflows:
        return []
    held = Run.objects.held(now).filter(workflow__in=workflows).order_by()
    counts = dict(held.values_list("workflow").annotate(Count("pk")))
    return [counts.get(pk, 0) for pk in workflows]
