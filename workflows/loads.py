"""How full workers are, by host."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import Count

from workflows.models import Worker


@dataclass(slots=True)
class Load:
    """What the workers of one host hold, of what they can."""

    host: str
    workers: int = 0  # started by `manage.py worker`; each has several loops
    held: int = 0

    @property
    def capacity(self) -> int:
        """Runs, if its workers are set up as this process is."""
        return int(max(1, self.workers) * settings.WORKERS * settings.RUNS_PER_WORKER)

    @property
    def percent(self) -> int:
        return min(100, round(100 * self.held / self.capacity))


def loads(moment: datetime) -> list[Load]:
    """Hosts with workers, the busiest first. A loop without runs has no lease; its pacemaker always has one."""
    found: dict[str, Load] = {}
    rows = Worker.objects.live(moment).filter(kind__in=(Worker.Kind.PACEMAKER, Worker.Kind.WORKER))
    for worker in rows.annotate(held_runs=Count("runs")):
        load = found.setdefault(worker.host, Load(worker.host))
        load.workers += worker.kind == Worker.Kind.PACEMAKER
        load.held += getattr(worker, "held_runs", 0)
    return sorted(found.values(), key=lambda load: (-load.percent, load.host))
