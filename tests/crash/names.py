"""Names django-q2's worker processes in the kernel, so that an experiment can tell them from their siblings.

Loaded by every process of an experiment, as one of ``KOLOSAL_FUNCTIONS``.
"""

import contextlib
from pathlib import Path
from typing import Any

from django.dispatch import receiver
from django_q.signals import post_spawn

WORKER_NAME = "q-worker"


@receiver(post_spawn)
def name_it(sender: Any, **spawned: Any) -> None:
    """django-q2 sends this at the start of a worker process, and of no other."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(WORKER_NAME)
