"""What stands between the page and the rest of the web: host list, same origin, content policy.

Gradio's own defaults let any page on this machine read and write, accept any ``Host`` (DNS rebinding), can be framed,
and fetch foreign addresses through the file route.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY = 512 * 1024 * 1024
"""Bytes of the largest request, an upload of many pictures included."""

PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)
FILE_POLICY = "default-src 'none'; img-src 'self'; sandbox"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Guard:
    """Pure ASGI middleware, so that streams stay streams.

    Args:
        app: The application behind it.
        hosts: Host names that may be asked for, None for any (only sensible together with a login).
    """

    def __init__(
        self, app: Callable[[Scope, Receive, Send], Awaitable[None]], hosts: frozenset[str] | None = LOCAL_HOSTS
    ):
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the policy headers added to the answer."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = refusal(scope["path"], scope.get("method", "GET"), headers, self.hosts)
        if refused:
            await _refuse(scope["type"], refused, send)
            return

        is_file = _is_file_route(scope["path"])

        async def send_with_policy(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_policy_headers(is_file)]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def refusal(path: str, method: str, headers: dict[str, str], hosts: frozenset[str] | None) -> tuple[int, str] | None:
    """Status and reason for a request that is turned away, None for one that may pass.

    Args:
        path: Path of the request, without the query.
        method: HTTP method.
        headers: Lower-case names to values.
        hosts: As in ``Guard``.
    """
    host = headers.get("host", "")
    if hosts is not None and _host_name(host) not in hosts:
        return 421, "Host must be a name that this server was started for, see --allowed-host"
    origin = headers.get("origin")
    if origin is not None:
        netloc = urlsplit(origin).netloc
        foreign = netloc != host and not (hosts is not None and _host_name(netloc) in hosts - LOCAL_HOSTS)
        if foreign and not _is_page_visit(method, headers):
            return 403, "Origin must be this server"
    site = headers.get("sec-fetch-site", "none")
    if (site == "cross-site" or (site == "same-site" and method != "GET")) and not _is_page_visit(method, headers):
        return 403, "requests from other sites are refused"
    if _is_remote_fetch(path):
        return 403, "only local files are served"
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        return 413, f"a request must be at most {MAX_BODY // 2**20} MB"
    return None


def _host_name(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""


def _is_page_visit(method: str, headers: dict[str, str]) -> bool:
    """A link or a typed address, which shows the page to its visitor and nothing to the other site."""
    return (
        method == "GET" and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _is_file_route(path: str) -> bool:
    return "/file=" in path or "/gradio_api/file/" in path


def _is_remote_fetch(path: str) -> bool:
    text = unquote(path).lower()
    for marker in ("/file=", "/gradio_api/file/", "/stream/"):
        if marker in text and text.split(marker, 1)[1].lstrip("/ ").startswith(("http:", "https:", "ftp:", "file:")):
            return True
    return "/proxy=" in text


def _policy_headers(is_file: bool) -> list[tuple[bytes, bytes]]:
    policy = FILE_POLICY if is_file else PAGE_POLICY
    pairs = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
    }
    return [(name.encode(), value.encode()) for name, value in pairs.items()]


async def _refuse(kind: str, refused: tuple[int, str], send: Send) -> None:
    status, reason = refused
    if kind == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    body = reason.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
