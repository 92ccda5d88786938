"""Whoever answers what the runs of an experiment ask, and sends the events that they wait for, as API users would."""

import contextlib
import itertools
import random
import threading
import time
import uuid
from typing import Any, Self

from django.db import DatabaseError, connection

from workflows import runs
from workflows.errors import WorkflowError
from workflows.models import RunRequest, StepResult

PAUSE = 0.2  # seconds between two looks
EARLY = 0.2  # share of events that come with another, before a step waits for it


class Answerer:
    """Gives everything that is waited for, in a thread of its own, from the beginning of a ``with`` to its end."""

    def __init__(self, seed: int) -> None:
        self.given = 0
        self._chance = random.Random(seed)
        self._numbers = itertools.count(1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="answerer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(PAUSE):
            try:
                self._look()
            except DatabaseError:  # it is away; asked again
                connection.close()
                time.sleep(PAUSE)
        connection.close()

    def _look(self) -> None:
        waiting = StepResult.objects.filter(superseded=False, status="waiting", kind__in=("approval", "wait_for"))
        for run_id, path, kind, decided in list(waiting.values_list("run", "path", "kind", "parameters")):
            if self._over.is_set():
                return
            with contextlib.suppress(WorkflowError):  # it has one already, or has moved on
                self._give(run_id, path, kind, decided)

    def _give(self, run_id: uuid.UUID, path: str, kind: str, decided: Any) -> None:
        if kind == "approval":
            runs.answer(run_id, path, self._chance.choice(decided["options"]), actor="somebody")
            self.given += 1
        elif not RunRequest.objects.filter(run=run_id, verb=RunRequest.Verb.EVENT).exists():
            for _ in range(1 + (self._chance.random() < EARLY)):
                runs.send_event(run_id, decided["event"], next(self._numbers), actor="something")
                self.given += 1
