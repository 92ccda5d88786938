"""One campaign on one store and broker: set up, strike, heal, check."""

import random
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from tests.crash import oracle, strikes, takeovers, witness
from tests.crash.answerer import Answerer
from tests.crash.checks import broken_invariants
from tests.crash.hosts import Host
from tests.crash.load import Load, persistently, publish
from tests.crash.points import Points
from tests.crash.services import PostgreSQL, Redis
from tests.crash.site import Site
from tests.crash.strikes import Strikes
from tests.crash.takeovers import Times
from workflows.models import Event, Run, StepResult

if TYPE_CHECKING:
    from tests.crash.campaign import Plan

LEASE = 6.0
SETTLE_SECONDS = 120.0
SHARE_OF_POINTS = 0.4  # of the time
STEP_SECONDS = 0.15
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 1.2  # seconds between two random strikes


@dataclass(slots=True)
class Done:
    """What one campaign came to. ``broken``: one line for each breach."""

    plan: "Plan"
    broken: list[str] = field(default_factory=list)
    runs: int = 0
    children: int = 0
    steps: int = 0
    given: int = 0  # answers and events
    testimony: witness.Testimony = field(default_factory=witness.Testimony)
    strikes: Counter[str] = field(default_factory=Counter)
    points: tuple[int, int] = (0, 0)  # struck, all
    takeovers: int = 0
    times: dict[str, Times] = field(default_factory=dict)
    seconds: float = 0.0  # all of it
    settled_after: float = 0.0  # seconds from healing until all runs had ended


def carry_out(plan: "Plan", console: Console) -> Done:
    """Strike as planned; whatever happens, nothing is left running."""
    begin = time.monotonic()
    done = Done(plan)
    with ExitStack() as stack:
        site = _site(plan, stack)
        stack.enter_context(site.here())
        stack.callback(site.close_hosts)
        hosts = [Host(site, name, proxied=True) for name in ("ada", "bob")]
        for host in hosts:
            host.start_worker()
        hosts[0].start_web()
        with Answerer(plan.seed) as answerer:
            _strike(plan, site, hosts, done, console)
        done.given = answerer.given
        _check(site, done)
        if done.broken:
            _keep_logs(hosts, console)
    done.seconds = time.monotonic() - begin
    return done


def _site(plan: "Plan", stack: ExitStack) -> Site:
    postgresql = PostgreSQL() if plan.store == "postgresql" else None
    if postgresql is not None:
        stack.callback(postgresql.close)
    redis = Redis() if plan.broker == "redis" else None
    if redis is not None:
        stack.callback(redis.close)
    site = Site(postgresql, redis, KOLOSAL_LEASE_SECONDS=f"{LEASE:g}", KOLOSAL_MAX_RECOVERIES="50")
    stack.callback(site.close)
    return site


def _strike(plan: "Plan", site: Site, hosts: list[Host], done: Done, console: Console) -> None:
    chance = random.Random(f"{plan.seed} {plan.store} {plan.broker}")
    workflows = publish(site, STEP_SECONDS, plan.seed)
    thrown = Strikes(site, hosts, chance, LEASE)
    points = Points(site, hosts, workflows, thrown, plan.seed)
    title = f"{plan.store}, {plan.broker} broker"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task(f"{title}: fault points", total=len(points.all))
        for kinds in points.strike_all(plan.seconds * SHARE_OF_POINTS, chance):
            progress.advance(bar, kinds)
        seconds = plan.seconds * (1 - SHARE_OF_POINTS)
        load = Load(workflows, hosts[0], plan.runs, seconds, random.Random(chance.random()))
        bar = progress.add_task(f"{title}: random strikes, runs started", total=plan.runs)
        load.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            thrown.look()
            thrown.one()
            progress.update(bar, completed=load.started)
            time.sleep(chance.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))
        thrown.heal()
        load.join()
        progress.update(bar, completed=load.started)
        bar = progress.add_task(f"{title}: healed, runs to end", total=None)
        done.settled_after = _settle(thrown, progress, bar)
    done.points = (points.struck, len(points.all))
    done.strikes = thrown.counts
    done.broken += points.broken + thrown.unexpected
    done.times = takeovers.times(thrown.lost)
    done.testimony = witness.hear(site.effects, thrown.stalled)


def _settle(thrown: Strikes, progress: Progress, bar: TaskID) -> float:
    """Seconds until no run is left, or until it is given up."""
    begin, most = time.monotonic(), 0
    while time.monotonic() - begin < SETTLE_SECONDS:
        thrown.look()
        persistently(strikes.resume_all)
        left = persistently(Run.objects.active().count)
        most = max(most, left)
        progress.update(bar, completed=most - left, total=most)
        if not left:
            break
        time.sleep(0.25)
    return time.monotonic() - begin


def _check(site: Site, done: Done) -> None:
    done.runs = Run.objects.count()
    done.steps = StepResult.objects.count()
    done.children = Run.objects.exclude(parent=None).count()
    done.takeovers = Event.objects.filter(type="run_taken_over").count()
    done.broken += broken_invariants()
    done.broken += done.testimony.broken + strikes.unexpected_endings()
    done.broken += oracle.all_complaints(Run.objects.all())
    title = f"{done.plan.store}, {done.plan.broker}"
    done.broken = [f"{title}: {line}" for line in done.broken]


def _keep_logs(hosts: list[Host], console: Console) -> None:
    """The folder of the site goes; what its hosts said is wanted."""
    for host in hosts:
        kept = host.log.rename(host.site.folder.with_name(f"{host.site.folder.name}-{host.name}.log"))
        console.print(f"log of {host.name}: {kept}")
