"""What the page of a run is told: that something has happened, and the text of the attempts under way.

The page shows what is stored up to an event and begins behind it, so it need not be told the events before; but it is
told the whole text of attempts under way, which is stored as long as they are.
"""

from collections.abc import Iterator

from workflows.models import Event, Run
from workflows.states import StepStatus
from workflows.streaming import Position, StreamItem, Transcript


class Watch(Transcript):
    """Tells every event behind ``after``, by its type and place. ``under_way``: path → attempt that may stream."""

    tells_result = False

    def __init__(self, after: int, under_way: dict[str, int]) -> None:
        super().__init__(Position())
        self.seq = after
        self.under_way = under_way

    def _event(self, event: Event) -> Iterator[StreamItem]:
        place = Position(event.seq)
        self._note(event, place)
        self._told = place
        if self.end is not event:
            yield StreamItem(str(place), {"type": event.type, "path": event.path})

    def conclude(self, result: object) -> Iterator[StreamItem]:
        end, self.end, self.done = self.end, None, True
        if end is not None:
            yield StreamItem(str(end.seq), {"type": end.type})


def watch(run: Run, after: Position) -> Watch:
    """What follows in the run on an event."""
    running = run.steps.filter(superseded=False, status=StepStatus.RUNNING, kind="function")
    return Watch(after.event, dict(running.values_list("path", "attempt")))
