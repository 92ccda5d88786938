"""The bars of runs an hour, placed in an image of 480 × 80."""

from dataclasses import dataclass

from workflows.admin.home_figures import Day, Hour

WIDTH, GAP, HEIGHT = 20, 4, 80


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a bar in the colour of a status."""

    status: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    hour: Hour
    x: int
    parts: list[Part]

    @property
    def told(self) -> str:
        """What the bar stands for, in words."""
        hour = self.hour
        counts = ((hour.completed, "completed"), (hour.failed, "failed"), (hour.others, "other"))
        parts = ", ".join(f"{number:,} {name}" for number, name in counts if number)
        return f"{hour.begins:%H:%M} UTC: {parts or 'no runs'}"


def bars(day: Day) -> list[Bar]:
    most = max(1, *(hour.total for hour in day.hours))
    return [Bar(hour, place * WIDTH + GAP // 2, _parts(hour, most)) for place, hour in enumerate(day.hours)]


def _parts(hour: Hour, most: int) -> list[Part]:
    """Completed ones stand on the ground, failed ones on top."""
    y, found = float(HEIGHT), []
    for status, number in (("completed", hour.completed), ("cancelled", hour.others), ("failed", hour.failed)):
        height = HEIGHT * number / most
        y -= height
        if number:
            found.append(Part(status, round(y, 2), round(height, 2)))
    return found
