"""Every call of the server, read from the URL conf, so that a new route can't be forgotten."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver

VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PUBLIC = {"/", "/health", "/v1/health", "/status", "/v1/ready"}
PAGES = ("admin/", "static/")
PLACES = {
    "artifact_id": "1",
    "workflow_id": "sample",
    "number": "1",
    "execution_id": "01890000-0000-7000-8000-000000000000",
    "name": "sample",
    "batch_id": "01890000-0000-7000-8000-000000000000",
    "agent": "tester",
    "engine_id": "default",
}


@dataclass(frozen=True, slots=True)
class Call:
    verb: str
    address: str

    def __str__(self) -> str:
        return f"{self.verb} {self.address}"

    @property
    def public(self) -> bool:
        return self.address in PUBLIC


def _calls(allowed: bool) -> Iterator[Call]:
    for pattern in _patterns(get_resolver().url_patterns):
        view = pattern.callback
        kinds = getattr(view, "actions", None) or getattr(view, "cls", None)
        if kinds is None:
            continue
        for verb in VERBS:
            has = verb.lower() in kinds if isinstance(kinds, dict) else hasattr(kinds, verb.lower())
            if has == allowed:
                yield Call(verb, _address(pattern))


def _patterns(found: list[URLPattern | URLResolver]) -> Iterator[URLPattern]:
    for pattern in found:
        if isinstance(pattern, URLPattern):
            yield pattern
        elif not str(pattern.pattern).startswith(PAGES):
            yield from _patterns(pattern.url_patterns)


def _address(pattern: URLPattern) -> str:
    from django.urls import reverse

    names = pattern.pattern.regex.groupindex
    return reverse(str(pattern.name), kwargs={name: PLACES[name] for name in names})


CALLS = list(_calls(allowed=True))
REFUSED_VERBS = list(_calls(allowed=False))
