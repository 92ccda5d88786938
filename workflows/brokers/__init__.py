"""django-q2's brokers, made to wait for a store that is away, and to hear soon without asking all the time.

A message is a doorbell: it is gone once it is taken, and what is lost is rung again by a pacemaker.
"""

import logging
import time
from typing import Any

from workflows.outages import Outage

logger = logging.getLogger(__name__)

AWAY = 0.5  # seconds between tries while the store is away

Messages = list[tuple[None, Any]]  # the first would acknowledge a message: there is nothing to acknowledge

outage = Outage(logger, "The broker does not answer, and is asked until it does", "The broker answers again.")


def bear(error: Exception) -> Messages:
    """No messages, after a while: where django-q2's pusher would end, and sleep for 10 s."""
    outage.goes_on(error)
    time.sleep(AWAY)
    return []
