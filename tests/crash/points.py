"""Part A of a campaign: kills and stalls at each fault point, with runs of each kind of step and nothing else."""

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.crash.hosts import Host
from tests.crash.load import persistently, publish, start
from tests.crash.processes import strike
from tests.crash.site import Site
from tests.crash.strikes import Lost, Strikes
from workflows import runs
from workflows.faults import POINTS
from workflows.models import Run, Worker, Workflow
from workflows.states import RunStatus

SLOW = 3.0  # seconds of a step
SECONDS = 30.0  # for a fault to be reached, and again for its runs to end
ALONE_SECONDS = 2.5  # that the runs of a strike get before the next
STRIKE_SECONDS = 3.5  # that one takes, about
FEWEST, MOST = 2, 6  # kinds in a strike
STALLS = 0.3  # share of faults that stall past the lease; the others kill


class Points:
    """Strikes as many (point, kind) as there is time for, in random order.

    Several kinds are under way in one strike: so many that each comes to each point, if the time lasts.
    """

    def __init__(
        self, site: Site, hosts: list[Host], workflows: Mapping[str, Workflow], strikes: Strikes, seed: int
    ) -> None:
        self.broken: list[str] = []
        self.struck = 0
        self._started: list[tuple[str, list[Run]]] = []
        self.all = [(point, kind) for point in POINTS for kind in workflows]
        self._site = site
        self._hosts = hosts
        self._workflows = workflows
        self._slow = publish(site, SLOW, seed, "slow-")  # under way long enough for a verb to find them so
        self._strikes = strikes
        self._stall = strikes.past_lease

    def strike_all(self, seconds: float, chance: random.Random) -> Iterator[int]:
        """One strike after the other, until the time is over; yields the number of kinds under way in each."""
        until = time.monotonic() + seconds
        for point, kinds in self._strikes_to_come(seconds, chance):
            if time.monotonic() > until:
                break
            stalls = point != "waiting" and chance.random() < STALLS
            self._strike(point, kinds, f"stall {self._stall:g}" if stalls else "kill")
            yield len(kinds)
        self._see_the_end()

    def _strikes_to_come(self, seconds: float, chance: random.Random) -> list[tuple[str, list[str]]]:
        at_once = min(MOST, max(FEWEST, math.ceil(len(self.all) * STRIKE_SECONDS / seconds)))
        strikes = []
        for point in POINTS:
            kinds = chance.sample(list(self._workflows), len(self._workflows))
            strikes += [(point, kinds[start : start + at_once]) for start in range(0, len(kinds), at_once)]
        return chance.sample(strikes, len(strikes))

    def _strike(self, point: str, kinds: list[str], fault: str) -> None:
        started = self._provoke(point, kinds, fault)
        told = f"{point} × {', '.join(kinds)}"
        if started is None:
            self.broken.append(f"{told}: the fault point was not reached in {SECONDS:g} s")
            return
        self.struck += len(kinds)
        self._strikes.counts[f"{'killed' if fault == 'kill' else 'stalled'} at {point}"] += 1
        self._until(lambda: all(_ended(run) for run in started), ALONE_SECONDS)
        self._started.append((told, started))

    def _see_the_end(self) -> None:
        """Of all runs: those that wait for long were left to go on beside the next strikes."""
        for told, started in self._started:
            if not self._until(lambda: all(_ended(run) for run in started)):  # noqa: B023  (asked here and now)
                left = [f"{run.pk} ({run.status})" for run in started if not _ended(run)]
                self.broken.append(f"{told}: not ended {SECONDS:g} s after the last strike: {', '.join(left)}")

    def _provoke(self, point: str, kinds: list[str], fault: str) -> list[Run] | None:
        """Start runs and have a process killed or stalled; the runs, or None if no process came by."""
        if point == "waiting":
            return self._kill_one_that_waits(kinds)
        file = self._site.arm(point, fault) if point not in {"takeover", "cancel"} else None
        workflows = self._workflows if file else self._slow
        started = [start(workflows[kind]) for kind in kinds]
        if file is None:
            if not self._until(lambda: _holders(started)):
                return None
            file = self._site.arm(point, fault)
            self._begin(point, started)
        reached = self._until(lambda: not file.exists())
        file.unlink(missing_ok=True)
        self._note(file, "process" if fault == "kill" else "cut")
        return started if reached else None

    def _begin(self, point: str, started: list[Run]) -> None:
        if point == "cancel":
            for run in started:
                runs.cancel(run.pk, actor="campaign")
        else:
            for worker in _holders(started):
                self._strikes.lost.append(Lost(str(worker), time.time(), "process"))
                strike(worker.pid)

    def _kill_one_that_waits(self, kinds: list[str]) -> list[Run] | None:
        """That point lies in django-q2, so it is struck from outside."""
        idle = {pid for host in self._hosts for pid in host.idle_workers()}
        if not idle:
            return None
        strike(min(idle))
        return [start(self._workflows[kind]) for kind in kinds]

    def _note(self, file: Path, how: str) -> None:
        """The process that took the file left its id in the new name."""
        for taken in file.parent.glob(f".{file.name}.*"):
            pid, at = int(taken.suffix[1:]), taken.stat().st_ctime
            for worker in Worker.objects.filter(pid=pid):
                self._strikes.lost.append(Lost(str(worker), at, how))
            if how == "cut":
                self._strikes.stalled.add(pid)
            taken.unlink()

    def _until(self, condition: Callable[[], object], seconds: float = SECONDS) -> bool:
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                return False
            self._strikes.look()
            time.sleep(0.05)
        return True


def _holders(started: list[Run]) -> list[Worker]:
    return list(Worker.objects.filter(runs__in=started, runs__status=RunStatus.RUNNING).distinct())


def _ended(run: Run) -> bool:
    persistently(lambda: run.refresh_from_db(fields=["status"]))
    return run.has_ended
