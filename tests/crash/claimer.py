"""``python -m tests.crash.claimer START SIZE``: claim runs until none is due, and say which, in order, as JSON.

It waits for the file START, so that many begin at the same moment. SIZE: how many runs it claims at once.
"""

import json
import sys
import time
from pathlib import Path

import django


def main(start: Path, size: int) -> None:
    django.setup()
    from django.db import OperationalError

    from workflows import claims, workers
    from workflows.models import Worker
    from workflows.workers import Identity

    who = Identity.new(Worker.Kind.WORKER)
    workers.enter(who)
    print("ready", flush=True)
    while not start.exists():
        time.sleep(0.005)
    claimed: list[str] = []
    busy = 0
    while True:
        try:
            rows = claims.claim(who, size)
        except OperationalError:  # the store is busy, as a loop would find it
            busy += 1
            continue
        if not rows:
            break
        claimed += [str(one.row.pk) for one in rows]
    print(json.dumps({"claimed": claimed, "busy": busy}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
