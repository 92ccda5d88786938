"""``manage.py worker``: a django-q2 cluster and its pacemaker."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from workflows.pacemaker import Pacemaker


class Command(BaseCommand):
    help = "Carry out runs: a django-q2 cluster, and the pacemaker that keeps runs moving. Ends on SIGTERM or Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        pacemaker = Pacemaker()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: pacemaker.stop())
        pacemaker.run()
