"""An address for each page of the admin, found as a person finds it: by following links from the home page."""

import re
from collections import deque
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import Resolver404, get_resolver, resolve

from tests.browser.site import PASSWORD, Site

SITE_WIDE = ["home", "approvals", "home-figures"]
NO_PAGE = {
    "admin:jsi18n": "a script",
    "admin:autocomplete": "JSON",
    "admin:search": "a part of each page",
    "admin:view_on_site": "leads elsewhere",
    "admin:logout": "only by a button",
    "admin:login": "for strangers",
    "admin:password_change_done": "after a change",
    "home-figures": "a part of the home page",
    "admin:workflows_runrequest_change": "gone before anybody looks",
    "admin:workflows_streamtext_change": "gone with the step's end",
}
NO_PAGE_ENDING = {
    "_parts": "a part of a run's page",
    "_stream": "events",
    "_context": "a part of a run's page",
    "_piece": "a part of long work",
    "_export": "a file",
    "_look": "JSON",
    "_forms": "a part of the editor",
    "_workflow_try": "JSON",
    "_selected": "after a choice in the list",
    "_history": "the audit trail has it",
}
VERBS = ("pause", "resume", "retry", "cancel", "rerun", "answer", "restore", "bulk")
"""Addresses that only take POST."""


def names() -> list[str]:
    """All named pages that an administrator may see, from the URL configuration."""
    return sorted(name for name in _named() if not _is_no_page(name) and _is_allowed(name))


def sign_in(site: Site) -> requests.Session:
    session = requests.Session()
    address = f"{site.address}/admin/login/"
    session.get(address, timeout=30)
    form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    assert session.post(address, form, headers={"Referer": address}, timeout=30).ok
    return session


def walk(site: Site) -> dict[str, str]:
    """Name → path with query of the first page under that name, breadth first; one page is looked at for each name."""
    session, found, line = sign_in(site), {}, deque(["/admin/", "/admin/password_change/"])
    while line:
        path = line.popleft()
        name = _name_of(path)
        if name is None or name in found or _is_no_page(name):
            continue
        answer = session.get(f"{site.address}{path}", timeout=30)
        if answer.ok and "text/html" in answer.headers["Content-Type"]:
            found[name] = path
            line.extend(_links(path, answer.text))
    return found


def _links(path: str, page: str) -> Iterator[str]:
    for link in re.findall(r'(?:href|formaction)="([^"#]+)', page):
        parts = urlsplit(urljoin(path, unescape(link)))
        if not parts.netloc and parts.path.startswith("/admin/"):
            yield parts.path + (f"?{parts.query}" if parts.query else "")


def _name_of(path: str) -> str | None:
    try:
        return resolve(urlsplit(path).path).view_name or None
    except Resolver404:
        return None


def _named() -> Iterator[str]:
    yield from (name for name in get_resolver().reverse_dict if name in SITE_WIDE and name != "home")
    for pattern in admin.site.urls[0]:
        inner: list[Any] = getattr(pattern, "url_patterns", [pattern])
        yield from (f"admin:{one.name}" for one in inner if getattr(one, "name", None))


def _is_no_page(name: str) -> bool:
    ending = name.rpartition("_")[2]
    return name in NO_PAGE or ending in VERBS or any(name.endswith(one) for one in NO_PAGE_ENDING)


def _is_allowed(name: str) -> bool:
    """Rows that the engine writes are added and deleted by nobody."""
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_active=True, is_staff=True)
    for model, of_model in admin.site._registry.items():
        start = f"admin:{model._meta.app_label}_{model._meta.model_name}_"
        if name in (f"{start}add", f"{start}delete"):
            return bool(getattr(of_model, f"has_{name.removeprefix(start)}_permission")(request))
    return True
