"""Settings, read when needed: functions also run without Django (child processes, scripts)."""

from __future__ import annotations

import os
from typing import Any


def setting(name: str, default: Any = None) -> Any:
    """Django's setting `name`; without Django the environment variable `KOLOSAL_<name>`, as text."""
    from django.conf import settings

    if settings.configured or os.environ.get("DJANGO_SETTINGS_MODULE"):
        return getattr(settings, name, default)
    return os.environ.get(f"KOLOSAL_{name}", default)
