"""Who a request is from, and what they may do."""

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.request import split_domain_port, validate_host
from knox import auth as knox
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView

SCHEMES = (b"bearer", b"token")
# Names by which proxies of all makes say whom they speak for.
PROXY_HEADER = re.compile(r"HTTP_(VIA|\w*FORWARDED\w*|\w*(CLIENT|CONNECTING|REAL)_IP|X_ORIGINAL_(HOST|URL))")


class LocalOperator(AnonymousUser):
    """Whoever sits at this machine: may do everything, and is recorded as ``local``."""

    username = "local"  # type: ignore[assignment]
    is_active = True  # type: ignore[assignment]
    is_superuser = True  # type: ignore[assignment]

    @property
    def is_anonymous(self) -> Any:
        return False

    @property
    def is_authenticated(self) -> Any:
        return True

    def get_username(self) -> str:
        return self.username

    def __str__(self) -> str:
        return self.username

    def has_perm(self, perm: str, obj: object | None = None) -> bool:
        return True

    def has_perms(self, perm_list: Any, obj: object | None = None) -> bool:
        return True

    def has_module_perms(self, module: str) -> bool:
        return True


class TokenAuthentication(knox.TokenAuthentication):  # type: ignore[misc]
    """knox's tokens, as ``Authorization: Bearer …`` or ``Token …``. Any other scheme is refused."""

    def authenticate(self, request: Request) -> Any:
        parts = get_authorization_header(request).split()
        if not parts:
            return None
        if len(parts) != 2 or parts[0].lower() not in SCHEMES or not parts[1].isalnum():
            raise AuthenticationFailed("send `Authorization: Bearer <token>`, a token of `manage.py create_token`")
        return self.authenticate_credentials(parts[1])

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="kolosal"'


class LocalAuthentication(BaseAuthentication):
    """A request from this machine acts as the local operator, where our own command started the server."""

    def authenticate(self, request: Request) -> tuple[LocalOperator, None] | None:
        return (LocalOperator(), None) if is_local(request._request) else None


def is_local(request: HttpRequest) -> bool:
    """Loopback peer, no sign of a proxy, a host name of ours, and no page of another site behind it."""
    return (
        settings.LOCAL_ANONYMOUS
        and _is_loopback(request.META.get("REMOTE_ADDR", ""))
        and not any(PROXY_HEADER.fullmatch(name) for name in request.META)
        and _is_our_host(request)
        and not _is_from_other_site(request)
    )


class NamedPermission(BasePermission):
    """The permission that the view names for the action (``permissions``: action or method → permission).

    A view that names none for what it can do lets nobody in.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not request.user.is_authenticated:
            return False
        method = "get" if request.method == "HEAD" else str(request.method).lower()
        action = getattr(view, "action", None) if hasattr(view, "action_map") else method
        if action is None or action == "options" or not hasattr(view, action):
            return True  # nothing answers this method: 405 follows
        permission = getattr(view, "permissions", {}).get(action)
        return permission is not None and request.user.has_perm(permission)


def _is_loopback(address: str) -> bool:
    try:
        peer = ip_address(address)
    except ValueError:
        return False
    if isinstance(peer, IPv6Address) and peer.ipv4_mapped:
        return peer.ipv4_mapped.is_loopback
    return peer.is_loopback


def _is_our_host(request: HttpRequest) -> bool:
    # Wildcards don't count: with them a name that someone points at 127.0.0.1 would pass (DNS rebinding).
    names: Sequence[str] = [host for host in settings.ALLOWED_HOSTS if not host.startswith(("*", "."))]
    domain, _ = split_domain_port(request.META.get("HTTP_HOST", ""))
    return bool(domain) and validate_host(domain, names)


def _is_from_other_site(request: HttpRequest) -> bool:
    if request.META.get("HTTP_SEC_FETCH_SITE", "none") not in {"none", "same-origin"}:
        return True  # "same-site" too: another port of this machine is another site's page
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None:
        return False
    parts = urlsplit(origin)
    return (parts.scheme, parts.netloc.lower()) != (request.scheme, request.META.get("HTTP_HOST", "").lower())
