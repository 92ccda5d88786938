"""``python -m kolosal.web``: the web server on ``KOLOSAL_BIND`` and ``KOLOSAL_PORT``."""

import signal
import sys

import uvicorn

from kolosal.asgi import application  # first: it says which settings, and that this is the web process
from kolosal.http_protocol import Protocol


def main() -> None:
    """Serve until SIGINT or SIGTERM; open requests then get ``KOLOSAL_GRACE_SECONDS``. Ends with code 0."""
    from django.conf import settings

    # uvicorn raises the signal again when it has ended in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.run(
        application,
        host=settings.BIND,
        port=settings.PORT,
        http=Protocol,
        log_config=None,  # its lines go the way of all others
        timeout_graceful_shutdown=int(settings.GRACE_SECONDS),
    )


if __name__ == "__main__":
    main()
