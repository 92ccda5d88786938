"""Overhead of a step: runs of 100 no-op steps in this process, the limit in turn with them."""

import json
import statistics
import sys
from itertools import pairwise

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from benchmarks.limit import beside_limit, durations, insert_ms, work_ms  # noqa: E402
from workflows import inprocess  # noqa: E402
from workflows.definitions import Definition  # noqa: E402
from workflows.models import Event, Run, StepResult  # noqa: E402

STEPS = 100
LONG = 1000


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("sync_agents", verbosity=0)
    short, long = _definition(STEPS), _definition(LONG)
    run = inprocess.run(short)  # warm-up
    times = int(sys.argv[1])
    steps = beside_limit(lambda: inprocess.run(short).execution_ms(timezone.now()) / STEPS, times * 10)
    long_runs = [inprocess.run(long) for _ in range(times * 3)]
    figures = durations("step_ms", steps) | {
        "insert_ms": statistics.median(insert_ms() for _ in range(100)),
        "work_ms": statistics.median(work_ms() for _ in range(100)),
        "step_1000_by_step_10": statistics.median(map(_growth, long_runs)),
        "bytes_of_a_step": _bytes(run) / STEPS,
        "bytes_1000_by_100": _bytes(long_runs[0]) / LONG / (_bytes(run) / STEPS),
    }
    print(json.dumps(figures))


def _definition(steps: int) -> Definition:
    echo = {"agent_id": "qa_specialist", "function_name": "echo", "parameters": {"message": "x"}}
    return Definition.model_validate(
        {"workflow_id": "bench", "steps": [{"step_id": f"s{number:03}", **echo} for number in range(steps)]}
    )


def _growth(run: Run) -> float:
    """How long the last steps took against those from the tenth on; medians of 90 each, from the audit trail."""
    ends = list(run.events.filter(type="step_complete").order_by("seq").values_list("at", flat=True))
    taken = [(after - before).total_seconds() for before, after in pairwise(ends)]
    return statistics.median(taken[-90:]) / statistics.median(taken[10:100])


def _bytes(run: Run) -> int:
    """What a run has stored in the rows of its steps and events, as JSON texts and columns."""
    rows = [*Event.objects.filter(run=run).values(), *StepResult.objects.filter(run=run).values()]
    return sum(len(str(value)) for row in rows for value in row.values())


main()
