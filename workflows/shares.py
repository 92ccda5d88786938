"""How the jobs that an agent's ``max_concurrent_jobs`` allows are shared among the loops of all workers.

A loop takes as many as its steps need and gives back what it needs no more, so that a step of an agent that few use
costs no statement. While several loops want more than there is, they take turns: whoever waited longest is first.
Shares of a worker whose lease has expired count no more.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from agents.models import Agent
from workflows import workers
from workflows.errors import LeaseLost
from workflows.models import AgentShare, Worker
from workflows.workers import Identity


@dataclass(frozen=True, slots=True)
class Share:
    """What a loop has from now on: ``held`` jobs. ``contended``: other loops want more than they have."""

    held: int
    contended: bool


def settle(who: Identity, agent_id: str, used: int, wanted: int) -> Share:
    """Take and give back, for a loop that has ``used`` jobs under way and would have ``wanted`` with those in line.

    Raises `LeaseLost`: a loop without lease must not count on what it held.
    """
    with transaction.atomic():
        agent = _locked(agent_id)
        now = workers.database_now()
        if not Worker.objects.live(now).filter(pk=who.id).exists():
            raise LeaseLost(f"the lease of {who} has expired")
        if agent is None or agent.max_concurrent_jobs is None:
            return Share(wanted, False)
        live = AgentShare.objects.filter(agent=agent, worker__expires_at__gt=now)
        others = list(live.exclude(worker=who.id))
        own = live.filter(worker=who.id).first() or AgentShare(agent=agent, worker_id=who.id)
        held = _fair(own, others, used, wanted, agent.max_concurrent_jobs)
        _store(own, held, wanted, now)
        return Share(held, any(other.waiting_since for other in others))


def forget_lost() -> None:
    """Delete the shares of workers that are gone."""
    AgentShare.objects.filter(worker__expires_at__lte=workers.database_now()).delete()


def _locked(agent_id: str) -> Agent | None:
    # The lock makes takers of one agent go one after the other: each sees what the one before has taken.
    return Agent.objects.select_for_update(no_key=True).filter(pk=uuid.UUID(agent_id)).first()


def _fair(own: AgentShare, others: list[AgentShare], used: int, wanted: int, limit: int) -> int:
    """What the loop holds from now on. What is in use can't be given back, though the limit was lowered."""
    free = limit - sum(other.held for other in others)
    since = own.waiting_since
    earlier = sum(1 for o in others if o.waiting_since and (since is None or o.waiting_since < since))
    return max(used, min(wanted, free - earlier))  # one is left for each that has waited longer


def _store(own: AgentShare, held: int, wanted: int, now: datetime) -> None:
    # Whoever has just got one goes to the end of the line.
    since = None if wanted <= held else now if held > own.held else own.waiting_since or now
    if (own.held, own.wanted, own.waiting_since) != (held, wanted, since):
        own.held, own.wanted, own.waiting_since = held, wanted, since
        own.save()
