"""``manage.py serve``: everything on one machine - set up the database, then the web server and a worker."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from agents.inference import NO_MODEL, model_connected
from workflows.process_group import die_with_parent, kill_group

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
STOP_SECONDS = 9.0  # after which whatever is left is killed: Ctrl-C ends all of it within 10 s


class Command(BaseCommand):
    help = "Set up what is missing, then serve the web application and carry out runs. Ctrl-C ends all of it."

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(soft_wrap=True)
        _require_free_port()
        with console.status("Preparing the database …"):
            _set_up(console)
        _stop_on_signals()
        children = _start()
        console.print(f"[bold green]Kolosal Workflows[/] on {_address()} - {_address()}/admin/ - {_address()}/api/docs")
        if not model_connected():
            console.print(f"[yellow]{NO_MODEL}[/]")
        try:
            ended = _first_to_end(children)
            raise CommandError(f"The {ended} ended by itself; everything is stopped. Its last lines above say why.")
        except KeyboardInterrupt:
            console.print("Stopping …")
        finally:
            _stop(children)


def _require_free_port() -> None:
    family = socket.AF_INET6 if ":" in settings.BIND else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.BIND, settings.PORT))
        except OSError as error:
            raise CommandError(
                f"Port {settings.PORT} on {settings.BIND} can't be used ({error.strerror}): "
                "stop what listens there, or set KOLOSAL_PORT to another port."
            ) from None


def _set_up(console: Console) -> None:
    call_command("migrate", verbosity=0)
    call_command("sync_agents", verbosity=0)
    call_command("load_examples", verbosity=0)
    _ensure_admin(console)


def _ensure_admin(console: Console) -> None:
    users = get_user_model().objects
    given = os.environ.get("KOLOSAL_ADMIN_PASSWORD", "")
    admin = users.filter(username="admin").first()
    if admin is None:
        password = given or secrets.token_urlsafe(12)
        users.create_superuser("admin", password=password)
        told = "the one in KOLOSAL_ADMIN_PASSWORD" if given else f"[bold]{password}[/] (shown only this once)"
        console.print(f"Local admin account made: user [bold]admin[/], password {told}")
    elif given and not admin.check_password(given):
        admin.set_password(given)
        admin.save(update_fields=["password"])


def _start() -> dict[str, subprocess.Popen[bytes]]:
    grace = os.environ.get("KOLOSAL_GRACE_SECONDS", "5")
    common = os.environ | {"KOLOSAL_GRACE_SECONDS": grace}
    local = {"KOLOSAL_STARTED_LOCALLY": "1"} if settings.BIND in LOOPBACK else {}
    return {
        "web server": _child([sys.executable, "-m", "kolosal.web"], common | local),
        "worker": _child([sys.executable, "manage.py", "worker"], common),
    }


def _child(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches only this process, which then stops them in order.
    return subprocess.Popen(  # noqa: S603
        command,
        env=environment,
        cwd=Path(settings.BASE_DIR),
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def _stop_on_signals() -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _first_to_end(children: dict[str, subprocess.Popen[bytes]]) -> str:
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                return name
        time.sleep(0.2)


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    until = time.monotonic() + STOP_SECONDS
    for child in children.values():
        child.terminate()
    for child in children.values():
        try:
            child.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            kill_group(child.pid)


def _address() -> str:
    host = "localhost" if settings.BIND in LOOPBACK | {"0.0.0.0", "::"} else settings.BIND  # noqa: S104
    return f"http://{host}:{settings.PORT}"
