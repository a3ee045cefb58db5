"""Which names this server answers to, and which origins are its own pages.

A page of another site can make a browser ask this server under the other site's name (DNS rebinding), but never under
an address in digits or a name that is this machine's own.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
"""Addresses to bind that only this machine reaches."""
TUNNEL = ".gradio.live"
"""End of the names under which ``--share`` opens the page; their addresses are the tunnel's, nobody else's."""
NETLOC = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True)
class Hosts:
    """Names that requests may ask for.

    Attributes:
        names: Host names in small letters; IPv6 addresses without brackets.
        proxied: Names, with the port where it is not the usual one, under which a proxy shows the page.
        any_address: Whether every address in digits is taken, as when the page is bound to more than this machine.
        tunnel: Whether the page is open under a name of the public tunnel.
    """

    names: frozenset[str] = frozenset(LOCAL_NAMES)
    proxied: frozenset[str] = frozenset()
    any_address: bool = False
    tunnel: bool = False

    def knows(self, netloc: str) -> bool:
        """Whether a ``Host`` header names this server.

        Args:
            netloc: ``NAME`` or ``NAME:PORT``.
        """
        name = host_name(netloc)
        if name is None:
            return False
        if name in self.names or (self.tunnel and name.endswith(TUNNEL)):
            return True
        return self.any_address and _is_address(name)

    def owns(self, origin: str, netloc: str) -> bool:
        """Whether an ``Origin`` is this server's own page.

        Args:
            origin: Of the page that asks, for example ``http://127.0.0.1:7860``.
            netloc: The ``Host`` that it asks for.
        """
        try:
            scheme, theirs = urlsplit(origin)[:2]
        except ValueError:
            return False
        if scheme not in {"http", "https"} or host_name(theirs) is None:
            return False
        return theirs.lower() == netloc.lower() or theirs.lower() in self.proxied


def hosts_of(server_name: str, allowed: Iterable[str] = (), *, share: bool = False) -> Hosts:
    """The names for an address to bind.

    Args:
        server_name: The address or name that is bound.
        allowed: Further ``NAME`` or ``NAME:PORT``.
        share: Whether the public tunnel is open.
    """
    proxied = frozenset(netloc.lower() for netloc in allowed)
    names = {*LOCAL_NAMES, *(host_name(netloc) or netloc for netloc in proxied)}
    if server_name in LOCAL_NAMES:
        return Hosts(frozenset(names), proxied, tunnel=share)
    own = socket.gethostname().lower()
    names |= {server_name.lower().strip("[]"), own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
    return Hosts(frozenset(names), proxied, any_address=True, tunnel=share)


def host_name(netloc: str) -> str | None:
    """The name in ``NAME`` or ``NAME:PORT``, in small letters; None for anything else."""
    found = NETLOC.fullmatch(netloc.lower())
    return found["name"].strip("[]") if found is not None else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
