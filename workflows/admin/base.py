"""What the admin's pages share: rows that are only read, and values made readable."""

import json
from datetime import timedelta
from typing import Any

from django.contrib.admin import ShowFacets
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from workflows.admin.paginator import BoundedList, BoundedPaginator

LONGEST_TEXT = 20_000
"""Characters of one stored value that a page shows; the row's own page shows all of it."""


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows that the engine writes: searchable and readable, never added, changed or deleted here."""

    list_fullwidth = True
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # each would be a count of the whole table
    list_per_page = 50
    paginator = BoundedPaginator

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[BoundedList]:
        return BoundedList

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False


def actor_of(user: AbstractBaseUser | AnonymousUser) -> str:
    """The name under which the audit trail records what a person does."""
    return user.get_username()


def badge(status: str) -> SafeString:
    """A status as a coloured label."""
    return format_html('<span class="k-badge is-{}">{}</span>', status, status.replace("_", " "))


def duration(milliseconds: float | None) -> str:
    """A length of time as people say it: `340 ms`, `2.4 s`, `3 min 5 s`, `2 h 10 min`."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1000:
        return f"{milliseconds:.2g} ms" if 0 < milliseconds < 10 else f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.3g} s"
    return _long_duration(timedelta(milliseconds=milliseconds))


def _long_duration(length: timedelta) -> str:
    minutes, seconds = divmod(round(length.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(shown[:2]) or "0 s"


def used(usage: dict[str, Any], counted: str) -> str:
    """A body of `metrics` in words: `1,200 tokens in 3 runs, $0.0042`; ``counted`` is its key of what was counted."""
    cost = f", ${usage['cost']:,.4f}" if usage["cost"] else ""
    return f"{usage['total_tokens']:,} tokens in {usage[counted]:,} {counted}{cost}"


def readable(value: Any, longest: int | None = LONGEST_TEXT) -> str:
    """A JSON value as text: text as it is, all else as indented JSON; cut after ``longest`` characters."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    if longest is None or len(text) <= longest:
        return text
    return f"{text[:longest]}\n… {len(text) - longest:,} more characters"


def entries(value: Any) -> list[tuple[str, str]]:
    """What a page shows of a JSON object: its keys with readable values; any other value under no key."""
    if isinstance(value, dict):
        return [(key, readable(part)) for key, part in value.items()]
    return [] if value is None else [("", readable(value))]
