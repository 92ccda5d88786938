"""Places for the jobs of agents that limit how many run at once, within one loop: taken, waited for in line, left."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from django.db import DatabaseError

from agents.functions.base import AgentSpec
from workflows import shares
from workflows.lease import Lease
from workflows.ledger import Ledger

SHARED_FOR = 0.05  # seconds that loops keep what they have, while all of them want more
REFRESH_EVERY = 1.0  # seconds after which a loop looks whether others wait for what it uses


@dataclass(slots=True)
class _Line:
    """An agent's places in this loop: ``held`` of them are this loop's to give, ``used`` are given."""

    agent_id: str
    held: int = 0
    used: int = 0
    contended: bool = False  # other loops wait for this agent
    settling: bool = False  # what is held may change: nothing is given meanwhile
    settled_at: float = 0.0
    short: bool = False  # it got less than it wanted then
    changed: bool = False  # somebody left the line, which other loops must hear of
    waiting: "deque[Place]" = field(default_factory=deque)

    @property
    def wanted(self) -> int:
        return self.used + len(self.waiting)

    @property
    def is_due(self) -> bool:
        """Whether places are to be asked for or given back, or others may have begun to wait."""
        stale = time.monotonic() - self.settled_at > REFRESH_EVERY
        return bool(self.waiting) or self.changed or self.held > self.used or (self.held > 0 and stale)

    @property
    def is_fresh(self) -> bool:
        """Whether loops have just shared the agent: to ask again for each step would be all that they do."""
        return time.monotonic() - self.settled_at < SHARED_FOR

    def give(self) -> None:
        while self.waiting and self.used < self.held and not self.settling:
            self.used += 1
            self.waiting.popleft().granted.set()


class Place:
    """A place in the line of an agent: waited for until ``granted``, then taken until it is left."""

    def __init__(self, slots: "Slots", line: _Line | None) -> None:
        self.granted = asyncio.Event()
        self._slots = slots
        self._line = line
        if line is None:
            self.granted.set()

    async def ask(self) -> bool:
        """Whether it is granted, at once or after asking the other loops' shares. Raises `LeaseLost`."""
        line = self._line
        if line is not None and not self.granted.is_set() and not (line.short and line.is_fresh):
            with suppress(DatabaseError):  # `tend` will ask again
                await self._slots.settle(line)
        return self.granted.is_set()

    def leave(self) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        if not self.granted.is_set():
            line.waiting.remove(self)
            line.changed = True
            return
        line.used -= 1
        if line.contended and not line.is_fresh:
            self._slots.settle_soon(line)
        else:
            line.give()


class Slots:
    """Belongs to one event loop. What was held under a lost lease is forgotten: it counts no more anywhere."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._ledger = ledger
        self._lease = lease
        self._who = lease.who
        self._lines: dict[str, _Line] = {}
        self._asking = asyncio.Lock()
        self._chores: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> bool:
        return any(line.wanted for line in self._lines.values())

    def join(self, agent: AgentSpec) -> Place:
        """Stand in the agent's line; the place may be granted at once."""
        if agent.max_concurrent_jobs is None:
            return Place(self, None)
        if self._who != self._lease.who:
            self._who, self._lines = self._lease.who, {}
        line = self._lines.setdefault(agent.id, _Line(agent.id))
        place = Place(self, line)
        line.waiting.append(place)
        line.give()
        return place

    async def tend(self) -> None:
        """Ask for what is waited for, give back what is not needed. Raises DatabaseError, `LeaseLost`."""
        for line in [line for line in self._lines.values() if line.is_due]:
            await self.settle(line)

    def settle_soon(self, line: _Line) -> None:
        chore = asyncio.create_task(self.settle(line))
        self._chores.add(chore)
        chore.add_done_callback(self._forget)

    async def settle(self, line: _Line) -> None:
        """Share the agent with the other loops. Raises DatabaseError, `LeaseLost`."""
        async with self._asking:
            line.settling, line.changed = True, False
            wanted = line.wanted
            try:
                share = await self._ledger.call(shares.settle, self._lease.who, line.agent_id, line.used, wanted)
                line.held, line.contended, line.short = share.held, share.contended, share.held < wanted
            finally:
                line.settling = False
                line.settled_at = time.monotonic()
        line.give()

    def _forget(self, chore: "asyncio.Task[None]") -> None:
        self._chores.discard(chore)
        if not chore.cancelled():
            chore.exception()  # whatever it was, `tend` meets it again and is heard
