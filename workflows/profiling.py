"""Measuring where a plain function spends its time. Imported only in a helper process that is asked for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyinstrument import Profiler
from pyinstrument.frame import Frame
from pyinstrument.session import Session

from agents.errors import ArtifactRefused
from agents.functions.base import Call
from workflows import flame_graph

NAME = "profile.svg"
INTERVAL = 0.001  # seconds between two looks

# The frames between a helper's own code and that of the function.
OUTER = ("multiprocessing/", "workflows/helper_child.py", "workflows/profiling.py", "agents/functions/registry.py")


@contextmanager
def profiled(call: Call, function: str) -> Iterator[None]:
    """Measure what is done meanwhile; the flame graph is an artifact of the call, also where it fails."""
    profiler = Profiler(interval=INTERVAL, async_mode="disabled")
    profiler.start()
    try:
        yield
    finally:
        _keep(call, function, profiler.stop())


def _keep(call: Call, function: str, session: Session) -> None:
    picture = flame_graph.svg(f"Profile of {function}", _own(session.root_frame(trim_stem=False)), session.sample_count)
    try:
        call.artifact(NAME, picture, "image/svg+xml")
    except ArtifactRefused as refused:
        call.logger.warning("%s", refused)


def _own(root: Frame | None) -> Sequence[Any]:
    """The outermost frames that are not the helper's own."""
    frames: list[Frame] = [root] if root is not None else []
    while frames and all(_is_outer(frame) for frame in frames):
        frames = [child for frame in frames for child in frame.children]
    return frames


def _is_outer(frame: Frame) -> bool:
    path = (frame.file_path or "").replace("\\", "/")
    return frame.is_synthetic or path.startswith("<") or any(part in path for part in OUTER)
