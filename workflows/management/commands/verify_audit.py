"""``manage.py verify_audit``: prove that the audit trail is whole."""

from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import Progress

from workflows import verification
from workflows.management.checking import Ticks, tell
from workflows.models import Run, SiteChain


class Command(BaseCommand):
    help = "Check the hash chains of all runs and of the site, and the seals. Exit code 0, 1 if one does not hold."

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        site = SiteChain.objects.filter(pk=1).first() or SiteChain()
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            runs = Ticks(progress, "runs", Run.objects.count())
            events = Ticks(progress, "events of the site", site.seq)
            found = tell(console, verification.verify(runs, events))
        if found:
            raise SystemExit(1)
        console.print(f"[green]{runs.done:,} runs and {events.done:,} events of the site: every chain holds.[/]")
        # Whoever cuts off a chain's end and moves its head leaves no trace here: only a note kept elsewhere tells.
        site = SiteChain.objects.filter(pk=1).first() or SiteChain()
        console.print(f"The site's chain ends with event {site.seq} {site.head}", highlight=False, soft_wrap=True)
