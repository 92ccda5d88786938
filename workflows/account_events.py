"""Log-ins, rights and tokens as events of the site's chain. No password or token is in any of them."""

import threading
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.http import HttpRequest
from django.utils import timezone
from knox.models import AuthToken

from workflows import acting, audit
from workflows.models import Event

FAILURES_A_MINUTE = 10
"""Failed log-ins of which each is an event; what goes beyond is counted, and told by the next event."""

MINUTE = timedelta(minutes=1)
UID = "account_events"
CHANGES = {"post_add": "added", "post_remove": "removed", "pre_clear": "removed"}


def connect() -> None:
    """Listen from now on."""
    user_logged_in.connect(_logged_in, dispatch_uid=UID)
    user_logged_out.connect(_logged_out, dispatch_uid=UID)
    user_login_failed.connect(_login_failed, dispatch_uid=UID)
    m2m_changed.connect(_groups_changed, sender=User.groups.through, dispatch_uid=UID)
    m2m_changed.connect(_permissions_changed, sender=User.user_permissions.through, dispatch_uid=UID)
    m2m_changed.connect(_permissions_changed, sender=Group.permissions.through, dispatch_uid=UID)
    post_save.connect(_token_saved, sender=AuthToken, dispatch_uid=UID)
    post_delete.connect(_token_deleted, sender=AuthToken, dispatch_uid=UID)


# --- Log-ins ---------------------------------------------------------------------------------------------------------


def _logged_in(user: User, request: HttpRequest | None = None, **_: Any) -> None:
    audit.record("logged_in", actor=user.username, subject=user.username, **_from(request))


def _logged_out(user: User | None, request: HttpRequest | None = None, **_: Any) -> None:
    if user is not None:
        audit.record("logged_out", actor=user.username, subject=user.username, **_from(request))


def _login_failed(credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Of an account that is not there the name is left out: it may be a password in the wrong field."""
    lately = Event.objects.filter(run__isnull=True, type="login_failed", at__gt=timezone.now() - MINUTE)
    if len(lately.order_by("-id").values("id")[:FAILURES_A_MINUTE]) == FAILURES_A_MINUTE:
        _beyond.add()
        return
    account = User.objects.filter(username=str(credentials.get("username", ""))).first()
    told = _from(request) | {"known_account": account is not None, "more_before": _beyond.take()}
    audit.record("login_failed", actor=acting.NOBODY, subject=account.username if account else "", **told)


class _Counter:
    """Failures of this process that are in no event yet."""

    def __init__(self) -> None:
        self._lock, self._number = threading.Lock(), 0

    def add(self) -> None:
        with self._lock:
            self._number += 1

    def take(self) -> int:
        with self._lock:
            number, self._number = self._number, 0
            return number


_beyond = _Counter()


def _from(request: HttpRequest | None) -> dict[str, Any]:
    return {"address": request.META.get("REMOTE_ADDR", "")} if request is not None else {}


# --- Groups and permissions ------------------------------------------------------------------------------------------


def _groups_changed(instance: User | Group, action: str, reverse: bool, pk_set: set[int] | None, **_: Any) -> None:
    if action in CHANGES:
        there = instance.user_set if isinstance(instance, Group) else instance.groups
        others = _others(there, pk_set)
        pairs = [(other, instance) if reverse else (instance, other) for other in others]
        for user in dict.fromkeys(user for user, _ in pairs):
            groups = sorted(str(group) for member, group in pairs if member == user)
            _tell("user_groups_changed", user, action, groups)


def _permissions_changed(
    instance: User | Group | Permission, action: str, reverse: bool, pk_set: set[int] | None, sender: Any, **_: Any
) -> None:
    if action not in CHANGES:
        return
    of_users = sender is User.user_permissions.through
    type = f"{'user' if of_users else 'group'}_permissions_changed"
    if isinstance(instance, Permission):
        holders: Any = instance.user_set if of_users else instance.group_set
        for holder in _others(holders, pk_set):
            _tell(type, holder, action, [_named(instance)])
    else:
        own: Any = instance.user_permissions if isinstance(instance, User) else instance.permissions
        if names := sorted(_named(permission) for permission in _others(own, pk_set)):
            _tell(type, instance, action, names)


def _others(there: Any, pk_set: Collection[int] | None) -> Iterator[Any]:
    """The rows at the other side: those named, or all that are there, which are about to be cleared."""
    return iter(there.all() if pk_set is None else there.model._default_manager.filter(pk__in=pk_set))


def _named(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"


def _tell(type: str, subject: models.Model, action: str, names: list[str]) -> None:
    audit.record(type, actor=acting.actor(), subject=str(subject), **{CHANGES[action]: names})


# --- API tokens ------------------------------------------------------------------------------------------------------


def _token_saved(instance: AuthToken, created: bool, **_: Any) -> None:
    if created:
        expires = instance.expiry.isoformat() if instance.expiry else None
        _tell_token("token_created", instance, expires=expires)


def _token_deleted(instance: AuthToken, **_: Any) -> None:
    """knox deletes those that have expired when one of the account is used."""
    expired = instance.expiry is not None and instance.expiry < timezone.now()
    _tell_token("token_expired" if expired else "token_revoked", instance)


def _tell_token(type: str, token: AuthToken, **data: Any) -> None:
    beginning = str(token.token_key)[:8]  # which is no secret: lists of tokens show it
    audit.record(type, actor=acting.actor(), subject=token.user.username, token=beginning, **data)
