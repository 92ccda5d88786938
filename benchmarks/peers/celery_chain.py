"""Celery with Redis: chains of 3 no-op tasks, one at a time and 500 at once, two worker processes."""

import json
import os
import subprocess
import sys

from celery import Celery, chain
from chains import measured

URL = os.environ["PEERS_REDIS_URL"]
app = Celery("celery_chain", broker=URL, backend=URL)


@app.task
def step(value: str = "") -> str:
    return "x"


def main() -> None:
    command = [sys.executable, "-m", "celery", "-A", "celery_chain", "worker", "-c", "2", "-l", "ERROR"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = subprocess.Popen(command, **quiet)  # noqa: S603
    try:
        three = chain(step.s(""), step.s(), step.s())
        figures = measured(three, lambda result: result.get(timeout=60, interval=0.001), int(sys.argv[1]))
    finally:
        worker.terminate()
        worker.wait()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
