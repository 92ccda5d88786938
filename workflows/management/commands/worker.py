"""``manage.py worker``: a django-q2 cluster and its pacemaker."""

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from workflows.pacemaker import STOP_MARGIN, Pacemaker
from workflows.process_group import end_within


class Command(BaseCommand):
    help = "Carry out runs: a django-q2 cluster, and the pacemaker that keeps runs moving. Ends on SIGTERM or Ctrl-C."
    requires_system_checks = ["queue"]  # all others would load the web server's pages

    def handle(self, *args: Any, **options: Any) -> None:
        pacemaker = Pacemaker()

        def stop(*_: Any) -> None:
            end_within(settings.GRACE_SECONDS + STOP_MARGIN + 1, also=pacemaker.kill)
            pacemaker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        pacemaker.run()
