"""Named places at which a test can kill or stall a process; they do nothing unless ``KOLOSAL_FAULTS`` names a folder.

A test puts a file into that folder: its name is the point, optionally with a suffix after a dot, its text ``kill`` or
``stall SECONDS``. The first process of all that reaches the point takes the file, so each is one fault.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

POINTS = (
    "waiting",  # while a django-q2 worker waits for a task
    "claim",  # due runs are chosen and not yet held
    "before-step",  # the start of an attempt is written, the attempt not begun
    "after-effect",  # the attempt has done what it does, nothing of it is written
    "before-commit",  # the statements of a change are sent, not committed
    "after-commit",  # committed, and nobody told
    "before-acknowledgement",  # a loop has ended, and django-q2 does not know it
    "takeover",  # runs of a lost worker are chosen and not yet held
    "cancel",  # a cancel was read by the holder and not carried out
)

ROW_POINTS = (  # of the workers at a batch of templates
    "before-row-commit",  # a row's workflow is stored, nothing of it committed
    "after-row-commit",  # committed, and the next row not begun
)

FOLDER = os.environ.get("KOLOSAL_FAULTS", "")


def point(name: str) -> None:
    """Die or stall here if a test has asked for it."""
    if FOLDER:
        _reached(name)


def _reached(name: str) -> None:
    for file in sorted(Path(FOLDER).glob(f"{name}*")):
        taken = file.with_name(f".{file.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            file.rename(taken)
            _strike(taken.read_text().split())
            return


def _strike(fault: list[str]) -> None:
    own = os.getpid()
    if fault[0] == "kill":
        os.kill(own, signal.SIGKILL)
    wake_up = f"sleep {float(fault[1])}; kill -CONT {own}"
    subprocess.Popen(["/bin/sh", "-c", wake_up], start_new_session=True)  # noqa: S603
    os.kill(own, signal.SIGSTOP)  # all threads: a stalled machine runs none of them
