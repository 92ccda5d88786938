"""What `verify_runs` and `verify_audit` share: a progress bar, and the telling of what is broken."""

from collections.abc import Iterable

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from workflows.examination import Broken


class Ticks:
    """Counts what was checked, and moves a bar of a progress display."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self.done = 0
        self._progress = progress
        self._bar = progress.add_task(name, total=total)

    def __call__(self, number: int) -> None:
        self.done += number
        self._progress.advance(self._bar, number)


def tell(console: Console, found: Iterable[Broken]) -> int:
    """Print what is broken as it is found, with what to do. Returns how many."""
    number = 0
    for broken in found:
        number += 1
        console.print(Text(f"✗ {broken}", style="red"), soft_wrap=True)
        console.print(Text(f"  {broken.rule.label}. {broken.remedy}"), soft_wrap=True)
    return number
