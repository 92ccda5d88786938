"""Which runs may be together in one loop, so that a run that kills its worker does not drag others down with it.

A lost worker tells nothing of which of its runs it died of. Those that had been suspected most before are blamed: their
``recoveries`` rise. The more a run has, the fewer runs that have any share its loop: all that fit at one, none other
at ``KOLOSAL_MAX_RECOVERIES``, after which it is given up. So whoever is innocent is soon apart from the culprit, as in
group testing, and a completed step clears it.
"""

from collections.abc import Iterable, Sequence

from django.conf import settings

from workflows.models import Run


def most_together(recoveries: int, capacity: int) -> int:
    """How many suspected runs a loop may hold, if the most suspected of them has so many recoveries."""
    steps = settings.MAX_RECOVERIES - 1
    if recoveries <= 1 < settings.MAX_RECOVERIES:
        return capacity
    share = 1 - (recoveries - 1) / steps if steps > 0 else 0.0
    return max(1, int(capacity**share)) if share > 0 else 1


def together(rows: Iterable[Run], held: Sequence[int], capacity: int) -> list[Run]:
    """Those of the rows that a loop may take besides what it holds; ``held`` are recoveries of its suspected runs."""
    company, chosen = list(held), []
    for row in rows:
        recoveries = row.recoveries + (row.worker_id is not None)  # it is to be blamed for its lost worker, at worst
        if len(company) + 1 <= most_together(max([recoveries, *company]), capacity):
            company.append(recoveries)
            chosen.append(row)
    return chosen
