"""``python -m benchmarks.seed --runs 1000000 --events 10000000``: fills the store of the settings with believable runs.

Runs of fifty workflows over 90 days, with events whose chains and seals hold. Only the newest ``--results`` runs have
results of their steps, so `manage.py verify_runs` objects to the others, and `manage.py verify_audit` to none.
A store that has runs is refused unless ``--add`` is given.
"""

import argparse
import bisect
import itertools
import os
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from multiprocessing import get_context

import django
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kolosal.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks import bulk, fifty, unfinished  # noqa: E402
from benchmarks.fifty import Plan  # noqa: E402
from benchmarks.stories import Row, lives, row_of  # noqa: E402
from workflows.audit import make_event  # noqa: E402
from workflows.models import Event, Run, SiteChain, StepResult  # noqa: E402

DAYS = 90
AT_ONCE = 500  # runs of one commit, and of one seal
Chunk = tuple[list[Row], list[Row], list[Row]]
Task = tuple[list[Plan], list[datetime], float, bool, int]


def main() -> None:
    asked = _arguments()
    call_command("migrate", verbosity=0)
    if Run.objects.exists() and not asked.add:
        raise SystemExit("The store has runs already. --add adds to them.")
    call_command("sync_agents", verbosity=0)
    per_run = asked.events / asked.runs
    plans = fifty.make(max(1, min(7, int((per_run - 3) / 2))))
    with get_context("spawn").Pool(os.cpu_count()) as pool, _progress() as progress:
        bar = progress.add_task("runs", total=asked.runs)
        for chunk in pool.imap(_chunk, _tasks(plans, asked.runs, per_run, asked.results)):
            _store(chunk)
            progress.advance(bar, len(chunk[0]))
    unfinished.make(plans)
    bulk.vacuum()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seed", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--results", type=int, default=200_000, help="newest runs that have results of their steps")
    parser.add_argument("--add", action="store_true", help="also to a store that has runs")
    asked = parser.parse_args()
    if asked.runs < 1 or not 5 <= asked.events / asked.runs <= 17:
        parser.error("a run has 5 to 17 events")
    return asked


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    )


def _tasks(plans: list[Plan], runs: int, events: float, results: int) -> Iterator[Task]:
    times = moments(runs, timezone.now() - timedelta(minutes=15))
    for number in range(0, runs, AT_ONCE):
        some = list(itertools.islice(times, AT_ONCE))
        yield plans, some, events, number >= runs - results, number


def moments(number: int, until: datetime) -> Iterator[datetime]:
    """So many moments of the last 90 days, in order: more by day than by night, fewer at weekends."""
    dice, start = random.Random(1), until - timedelta(days=DAYS)  # noqa: S311
    sums = list(itertools.accumulate(_busy(start + timedelta(hours=hour)) for hour in range(DAYS * 24)))
    for count in range(number):
        share = (count + dice.random()) / number * sums[-1]
        hour = bisect.bisect_left(sums, share)
        into = (share - (sums[hour - 1] if hour else 0)) / _busy(start + timedelta(hours=hour))
        yield start + timedelta(hours=hour + into)


def _busy(hour: datetime) -> float:
    return (1.0 if 7 <= hour.hour < 19 else 0.3) * (0.4 if hour.weekday() >= 5 else 1.0)


def _chunk(task: Task) -> Chunk:
    """In a process of its own: making rows costs more than storing them."""
    stories = lives(*task)
    # As they would have been written: by time, whatever run they are of.
    events = sorted((event for story in stories for event in story.events), key=lambda event: event["at"])
    return [story.run for story in stories], events, [step for story in stories for step in story.steps]


@transaction.atomic
def _store(chunk: Chunk) -> None:
    runs, events, steps = chunk
    bulk.store(Run, runs)
    bulk.store(Event, [*events, _seal(runs)])
    bulk.store(StepResult, steps)


def _seal(runs: Sequence[Row]) -> Row:
    """As `workflows.seals` seals runs, at the time of their end."""
    chain, _ = SiteChain.objects.get_or_create(pk=1)
    heads = [[str(run["id"]), run["event_seq"], run["event_head"]] for run in runs]
    at = max(run["ended_at"] for run in runs)
    event = make_event(chain.head, None, chain.seq + 1, "runs_sealed", at, "sweep", "", {"runs": heads})
    chain.seq, chain.head = event.seq, event.hash
    chain.save()
    return row_of(event)


if __name__ == "__main__":
    main()
