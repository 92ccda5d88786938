"""``python -m kolosal.web``: the web server on ``KOLOSAL_BIND`` and ``KOLOSAL_PORT``."""

import uvicorn

from kolosal.asgi import application  # first: it says which settings, and that this is the web process
from kolosal.http_protocol import Protocol


def main() -> None:
    """Serve until SIGINT or SIGTERM; open requests then get ``KOLOSAL_GRACE_SECONDS``."""
    from django.conf import settings

    uvicorn.run(
        application,
        host=settings.BIND,
        port=settings.PORT,
        http=Protocol,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(settings.GRACE_SECONDS),
    )


if __name__ == "__main__":
    main()
