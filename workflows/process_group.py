"""Processes that must not outlive their parent, and killing whole groups of them."""

import contextlib
import ctypes
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies; elsewhere than on Linux, a thread that watches."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def kill_group(leader: int) -> None:
    """SIGKILL to a process and to every process of the group that it leads."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGKILL)  # until it has made its group, the group can't be reached
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def end_within(seconds: float, also: Callable[[], None] = lambda: None) -> None:
    """Have this process end in so many seconds, whatever it hangs in; ``also`` is called just before."""

    def end() -> None:
        time.sleep(seconds)
        logger.error("Stopping took longer than %.1f s: what is left is killed.", seconds)
        faulthandler.dump_traceback()  # to standard error: what it hung in
        also()
        os._exit(1)

    threading.Thread(target=end, name="end within", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)
