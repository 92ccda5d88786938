"""Who acts: the person behind the request under way, or who started the command."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.http import HttpRequest

NOBODY = "anonymous"

_request: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


@contextmanager
def within(request: HttpRequest) -> Iterator[None]:
    """What happens in the block is done by the request's user, as he is known when it happens."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def actor() -> str:
    """The name for the audit trail: an account, ``local``, ``anonymous``, or ``command:<account of the system>``."""
    request = _request.get()
    if request is None:
        return f"command:{_system_account()}"
    user = getattr(request, "user", None)
    return (user.get_username() if user is not None else "") or NOBODY


def _system_account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return str(os.getuid())
