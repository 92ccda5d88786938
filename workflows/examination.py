"""Looking at many runs for what must not be: in batches, beside the workers, without false alarms.

A run moves while its rows are read one after the other, and looks broken then. So whatever looks broken is read once
more under the lock of its run's row, which every writer takes first.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet, TextChoices

from workflows.models import Run

AT_ONCE = 200  # runs of a batch: with 1,000 steps each, their statuses are some 50 MB


class Rule(TextChoices):
    """What must hold, and in words what it is about."""

    MOVED = "moved", "somebody moves it"
    RESULTS = "results", "one result a step"
    CHAIN = "chain", "chain of events"
    REPLAY = "replay", "events and rows agree"
    END = "end", "an end is an end"
    COUNTERS = "counters", "counters"
    LIMITS = "limits", "limits"
    LEFTOVERS = "leftovers", "nothing left over"
    SEAL = "seal", "seals"
    GUARD = "guard", "the store refuses changes"
    ARTIFACTS = "artifacts", "files are those that the events name"


REMEDIES: dict[str, str] = {
    Rule.MOVED: "Start `manage.py worker`, which takes over runs of lost workers. If it stays so, cancel the run.",
    Rule.RESULTS: "The unique index step_result_unique must be missing: compare the schema with the migrations.",
    Rule.CHAIN: "Rows were changed past the program, or the disk is damaged. Compare the run with a backup.",
    Rule.REPLAY: "Rows were changed past the program, or this is a defect: report it with the run's events.",
    Rule.END: "Rows were changed past the program, or this is a defect: report it with the run's events.",
    Rule.COUNTERS: "Lists show wrong numbers, steps and results are right. Report it with the run's events.",
    Rule.LIMITS: "If the limit is new, look again when the steps under way have ended; if not, report it.",
    Rule.LEFTOVERS: "The sweep of `manage.py worker` removes it; start one, and look again.",
    Rule.SEAL: "Events were rewritten, or runs deleted, past the program. Compare with a backup.",
    Rule.ARTIFACTS: "Files were changed past the program, or the disk is damaged. Compare the run with a backup.",
    Rule.GUARD: "Until then events could be changed past the program; whether they were, the chains tell.",
}


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold; of no run in particular if ``run_id`` is None."""

    run_id: uuid.UUID | None
    rule: Rule
    detail: str

    def __str__(self) -> str:
        return f"run {self.run_id}: {self.detail}" if self.run_id else self.detail

    @property
    def remedy(self) -> str:
        return REMEDIES[self.rule]


def examined(
    rows: QuerySet[Run],
    examine: Callable[[Sequence[Run]], Iterator[Broken]],
    run_ids: Collection[uuid.UUID] | None = None,
    on_checked: Callable[[int], None] = lambda _: None,
) -> Iterator[Broken]:
    """What ``examine`` finds in the runs of ``rows`` that are there by now, or in those of ``run_ids``.

    ``on_checked`` is told after each batch how many runs that were.
    """
    for batch in _batches(rows) if run_ids is None else _chosen(rows, run_ids):
        for suspect in sorted({broken.run_id for broken in examine(batch) if broken.run_id}):
            yield from _read_again(rows.filter(pk=suspect), examine)
        on_checked(len(batch))


def _read_again(rows: QuerySet[Run], examine: Callable[[Sequence[Run]], Iterator[Broken]]) -> list[Broken]:
    # One run at a time: who locks several, in an order of his own, meets workers that do so, too, in a deadlock.
    with transaction.atomic():
        return list(examine(list(rows.select_for_update(of=("self",)))))


def _batches(rows: QuerySet[Run]) -> Iterator[list[Run]]:
    newest = Run.objects.order_by("-pk").values_list("pk", flat=True).first()
    if newest is None:
        return
    rows = rows.filter(pk__lte=newest).order_by("pk")  # runs that come meanwhile are for the next time
    batch = list(rows[:AT_ONCE])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:AT_ONCE])


def _chosen(rows: QuerySet[Run], run_ids: Collection[uuid.UUID]) -> Iterator[list[Run]]:
    ids = sorted(run_ids)
    for start in range(0, len(ids), AT_ONCE):
        yield list(rows.filter(pk__in=ids[start : start + AT_ONCE]).order_by("pk"))
