"""Which addresses may be called when somebody else chose them: public ones, and those that settings allow.

A name is resolved once and each of its addresses is checked; `agents/http.py` connects to a checked address,
so that a name that answers differently a moment later (DNS rebinding) gains nothing. `KOLOSAL_HTTP_ALLOW`
names hosts and networks that may be reached though they are not public.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from agents.conf import setting
from agents.errors import AddressRefused, ServerUnreachable

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]

# Networks that `ipaddress.is_global` (Python 3.11) lets pass and that no public server lives in.
_REFUSED = tuple(map(ip_network, (
    "192.88.99.0/24",  # 6to4 relays, RFC 7526
    "64:ff9b:1::/48",  # local NAT64, RFC 8215
    "100:0:0:1::/64",  # dummy prefix, RFC 9780
    "2001::/23",  # protocol assignments, Teredo among them
    "3fff::/20",  # documentation, RFC 9637
    "5f00::/16",  # segment routing, RFC 9602
    "fec0::/10",  # site-local, RFC 3879
)))  # fmt: skip
_NAT64 = ip_network("64:ff9b::/96")
_6TO4 = ip_network("2002::/16")
_V4_COMPATIBLE = ip_network("::/96")


def is_public(address: Address) -> bool:
    """Whether the address belongs to the public internet, IPv4 addresses embedded in IPv6 ones included."""
    if isinstance(address, IPv6Address):
        embedded = _embedded(address)
        if embedded is not None:
            return is_public(embedded)
    refused = address.is_multicast or address.is_unspecified or address.is_reserved or address.is_loopback
    listed = any(address.version == network.version and address in network for network in _REFUSED)
    return address.is_global and not refused and not listed


class AllowList:
    """The hosts and networks of `KOLOSAL_HTTP_ALLOW`: `intranet.example`, `10.1.2.3`, `10.0.0.0/8`."""

    def __init__(self, entries: Iterable[str]) -> None:
        self.hosts: set[str] = set()
        self.networks = []
        for entry in filter(None, (e.strip().lower() for e in entries)):
            try:
                self.networks.append(ip_network(entry, strict=False))
            except ValueError:
                self.hosts.add(entry.rstrip("."))

    @classmethod
    def from_settings(cls) -> AllowList:
        entries = setting("HTTP_ALLOW", ())
        return cls(entries.split(",") if isinstance(entries, str) else entries)

    def permits(self, host: str, address: Address) -> bool:
        if is_public(address) or host.lower().rstrip(".") in self.hosts:
            return True
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        plain = mapped or address
        return any(plain.version == network.version and plain in network for network in self.networks)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the system's order; raises `ServerUnreachable` for an unknown name."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerUnreachable(f"the host name {host!r} can't be resolved: {error}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def checked_addresses(host: str, port: int, allow: AllowList, resolver: Resolver = resolve) -> list[str]:
    """The host's addresses if every one may be called; raises `AddressRefused` if one may not."""
    addresses = await resolver(host, port)
    for text in addresses:
        if not allow.permits(host, ip_address(text.partition("%")[0])):
            raise AddressRefused(
                f"{host} is {text}, which is not a public address; KOLOSAL_HTTP_ALLOW can allow it"
                if text != host
                else f"{host} is not a public address; KOLOSAL_HTTP_ALLOW can allow it"
            )
    return addresses


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _6TO4:
        return address.sixtofour
    if address in _NAT64 or address in _V4_COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
