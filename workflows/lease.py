"""The lease of one loop: registering, renewing, and knowing by its own clock when it must stop."""

import asyncio
import time

from django.conf import settings

from workflows import workers
from workflows.ledger import Ledger
from workflows.workers import Identity

MARGIN = 3.0  # seconds before the lease's end at which work stops that could not renew


class Lease:
    """Belongs to one event loop. Every loss makes a new `Identity`: what the old one held may be held by others."""

    def __init__(self, ledger: Ledger, kind: str) -> None:
        self.who = Identity.new(kind)
        self._ledger = ledger
        self._entered = False
        self._until = 0.0  # by this process's own clock
        self._one = asyncio.Lock()

    @property
    def is_good(self) -> bool:
        """Whether what is held may be worked on."""
        return self._entered and time.monotonic() < self._until

    @property
    def _lasts(self) -> bool:
        """Whether there is time for a renewal, whatever is begun now."""
        return time.monotonic() < self._until - float(settings.LEASE_SECONDS) / 3

    def covers(self, who: Identity) -> bool:
        """Whether what was claimed as ``who`` may be worked on."""
        return who == self.who and self.is_good

    async def ensure(self, most: int | None = None) -> bool:
        """Have a good lease, one that does not end soon.

        False if ``most`` other loops of the cluster claim already. Raises DatabaseError.
        """
        async with self._one:
            if self.is_good and (self._lasts or await self.renew()):
                return True
            if self._entered:
                self.who = Identity.new(self.who.kind)
            asked = time.monotonic()
            self._entered = await self._ledger.call(workers.enter, self.who, most)
            self._prolonged(asked)
            return self._entered

    async def renew(self) -> bool:
        """Prolong it; False if it had expired, or did before the database answered. Raises DatabaseError."""
        asked = time.monotonic()
        renewed = await self._ledger.call(workers.renew, self.who)
        if not renewed or not self.is_good:  # what it held has been stopped: it must not be held again
            return False
        self._prolonged(asked)
        return True

    def lose(self) -> None:
        """It does not hold any more; the next `ensure` begins a new one."""
        self._until = 0.0

    async def leave(self) -> None:
        """Let it end now."""
        if self._entered:
            await self._ledger.call(workers.leave, self.who)
            self._until = 0.0

    def _prolonged(self, since: float) -> None:
        self._until = since + settings.LEASE_SECONDS - MARGIN
