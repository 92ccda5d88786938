"""Overhead of a step: a run of 100 no-op steps in one process, and one committed INSERT beside it as the limit."""

import json
import statistics
import sys
import time

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from workflows import inprocess  # noqa: E402
from workflows.definitions import Definition  # noqa: E402

STEPS = 100


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("sync_agents", verbosity=0)
    steps = [
        {"step_id": f"s{i}", "agent_id": "qa_specialist", "function_name": "echo", "parameters": {"message": "x"}}
        for i in range(STEPS)
    ]
    definition = Definition.model_validate({"workflow_id": "bench", "steps": steps})
    inprocess.run(definition)  # warm-up
    runs = [inprocess.run(definition) for _ in range(int(sys.argv[1]))]
    print(
        json.dumps(
            {
                "step_ms": statistics.median(run.execution_ms(timezone.now()) / STEPS for run in runs),
                "insert_ms": statistics.median(_insert_ms() for _ in range(300)),
            }
        )
    )


def _insert_ms() -> float:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS bench_limit (text VARCHAR(1000))")
        started = time.perf_counter()
        cursor.execute("INSERT INTO bench_limit VALUES (%s)", ["x" * 500])
        return (time.perf_counter() - started) * 1000


main()
