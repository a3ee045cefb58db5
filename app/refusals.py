"""Which requests are turned away, decided from their first lines alone."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any

from app.hosts import Hosts
from app.routes import FILE, UPLOAD, route_of
from app.uploads import MAX_UPLOAD

MAX_CALL = 4 * 2**20
"""Bytes of an event: every field of the form and what the browser says that it shows."""
ONCE = ("host", "origin", "content-length", "sec-fetch-site", "x-forwarded-host")
"""Headers that decide and therefore stand once: of two, the next program may believe the other."""


@dataclass(frozen=True)
class Refusal:
    """Why a request is turned away.

    Attributes:
        status: Of HTTP.
        reason: One sentence.
        stale: Whether a page that is open has to be loaded again, because its server was started anew.
    """

    status: int
    reason: str
    stale: bool = False


@dataclass(frozen=True)
class Asked:
    """A request without its body.

    Attributes:
        method: HTTP method.
        path: Decoded once, without the prefix of a proxy.
        headers: Values by name in small letters, all of a name in their order.
    """

    method: str
    path: str
    headers: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> Asked:
        """Of an ASGI scope."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        path, prefix = scope["path"], str(scope.get("root_path", "")).rstrip("/")
        if prefix and path.startswith(f"{prefix}/"):
            path = path[len(prefix) :]
        return cls(scope["method"], path, headers)

    def one(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.headers.get(name, ())), None)

    @property
    def is_visit(self) -> bool:
        """A link or a typed address, which shows the page to its visitor and nothing to the site that it came from."""
        navigates = self.one("sec-fetch-mode") == "navigate" and self.one("sec-fetch-dest") == "document"
        return navigates and self.method == "GET" and self.path == "/"


@dataclass(frozen=True)
class Rules:
    """What is let through.

    Attributes:
        hosts: Names that this server answers to.
        serves: Whether the file of a path may be handed out.
        port: That is bound; browsers share cookies between the ports of a machine.
        login: Whether the page asks for one.
        secret: Of this start of the page. Whoever visits the page holds it as a cookie; nothing is answered without.
    """

    hosts: Hosts
    serves: Callable[[str], bool]
    port: int
    login: bool = False
    secret: str = field(default_factory=secrets.token_urlsafe)

    @property
    def cookie_name(self) -> str:
        """Of the cookie of a visit."""
        return f"rollout-page-{self.port}"

    @property
    def cookie(self) -> str:
        """What a visit of the page sets. No other site's request carries it, and no script reads it."""
        return f"{self.cookie_name}={self.secret}; Path=/; HttpOnly; SameSite=Strict"


def refusal(asked: Asked, rules: Rules) -> Refusal | None:
    """Status and reason for a request that is turned away, None for one that may pass.

    Args:
        asked: The request.
        rules: What is let through.
    """
    return _foreign(asked, rules) or _unneeded(asked, rules) or _oversized(asked)


def _foreign(asked: Asked, rules: Rules) -> Refusal | None:
    """Requests in another name, or from another site."""
    if any(len(asked.headers.get(name, ())) > 1 for name in ONCE):
        return Refusal(400, "a header that decides must stand once")
    host, forwarded = asked.one("host") or "", asked.one("x-forwarded-host")
    names = [host, *([] if forwarded is None else [name.strip() for name in forwarded.split(",")])]
    if not all(rules.hosts.knows(name) for name in names):
        return Refusal(421, "Host must be a name that this server was started for, see --allowed-host")
    origin = asked.one("origin")
    if origin is not None and not any(rules.hosts.owns(origin, name) for name in names):
        return Refusal(403, "Origin must be this server")
    if asked.one("sec-fetch-site") in {"cross-site", "same-site"} and not asked.is_visit:
        return Refusal(403, "requests from other sites are refused")
    if asked.method == "POST" and origin is None:
        return Refusal(403, "only the page itself may send this: its handlers are no interface for programs")
    return None


def _unneeded(asked: Asked, rules: Rules) -> Refusal | None:
    """Addresses that the page does not use, callers that did not come from it, and files that are not for them."""
    if not asked.path.startswith("/"):
        return Refusal(400, "a request must name a path")
    route = route_of(asked.method, asked.path, login=rules.login)
    if route is None:
        return Refusal(404, "there is nothing here")
    if not route.open and not _has_visited(asked, rules):
        return Refusal(403, "the page must be loaded again: this server was started after it", stale=True)
    if asked.path.startswith(FILE) and not rules.serves(asked.path[len(FILE) :]):
        return Refusal(403, "only pictures and downloads of what the page shows are served")
    return None


def _has_visited(asked: Asked, rules: Rules) -> bool:
    try:
        cookies = SimpleCookie("; ".join(asked.headers.get("cookie", ())))
    except CookieError:
        return False
    held = cookies.get(rules.cookie_name)
    return held is not None and hmac.compare_digest(held.value.encode(), rules.secret.encode())


def _oversized(asked: Asked) -> Refusal | None:
    length = asked.one("content-length")
    if length is None:
        return None
    most = MAX_UPLOAD if asked.path == UPLOAD else MAX_CALL
    if not (length.isascii() and length.isdecimal()) or len(length) > 20 or int(length) > most:
        return Refusal(413, f"a request must be at most {most // 2**20} MB")
    return None


def most_bytes(asked: Asked) -> int:
    """The bytes that a request may still have: what it says, else the most of its kind."""
    length = asked.one("content-length")
    most = MAX_UPLOAD if asked.path == UPLOAD else MAX_CALL
    return most if length is None else int(length)
