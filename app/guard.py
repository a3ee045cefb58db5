"""What stands between the page and the rest of the web. It sees every request first, before anything of Gradio's.

Gradio's own defaults let any page on this machine read and write, accept any ``Host`` (DNS rebinding), can be framed,
fetch foreign addresses through the file route, run any handler for any program, and answer some addresses before the
login. What is refused and why is decided in ``app.refusals``; this is how.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.requests import ClientDisconnect

from app.calls import OTHER_PAGE, Takes, problem_of_call
from app.refusals import MAX_CALL, Asked, Refusal, Rules, most_bytes, refusal
from app.routes import CALLS, FILE, PAGE_QUERY, UPLOAD
from app.uploads import Uploads

PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)
FILE_POLICY = "default-src 'none'; img-src 'self'; sandbox"
DROPPED = frozenset({b"range", b"x-gradio-server"})
"""Headers that are not passed on: Gradio echoes every header of a range request, cookies included, and lets the other
one name the page's own address."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Guard:
    """Pure ASGI, so that streams stay streams.

    Args:
        app: The application behind it.
        rules: What is let through.
        uploads: Where uploads are kept.
        takes: The events of the page.
    """

    def __init__(self, app: App, rules: Rules, uploads: Uploads, takes: Callable[[], Takes]) -> None:
        self.app = app
        self.rules = rules
        self.uploads = uploads
        self.takes = takes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on what is needed of the request, and the answer with the policy headers added."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "the page uses none"})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked = Asked.of(scope)
        refused = refusal(asked, self.rules)
        if refused is not None:
            await _refuse(refused, send)
            return
        passed = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() not in DROPPED]}
        if asked.path == "/":
            passed["query_string"] = _page_query(scope["query_string"])
        if asked.path in CALLS:
            await self._call(passed, receive, self._answering(asked, send))
        elif asked.path == UPLOAD:
            await self._upload(asked, passed, receive, send)
        else:
            await self._pass(asked, passed, receive, send)

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An event: read whole, looked at, and handed on only if the page's script could have sent it."""
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > MAX_CALL:
                await _refuse(_too_long(MAX_CALL), send)
                return
            if not message.get("more_body", False):
                break
        problem = problem_of_call(body, self.takes(), self.uploads.folder)
        if problem is not None:
            await _refuse(Refusal(400, problem, stale=problem in OTHER_PAGE), send)
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._run(scope, replay, send)

    async def _upload(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        length = most_bytes(asked)
        problem = await asyncio.to_thread(self.uploads.problem, length)
        if problem is not None:
            await _refuse(Refusal(507, problem), send)
            return
        with self.uploads.expecting(length):
            await self._pass(asked, scope, receive, send)

    async def _pass(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on, and cuts off a body that is longer than its kind may be, whatever it says of its length."""
        most = most_bytes(asked)
        answer = self._answering(asked, send)
        count, cut = 0, False

        async def counted() -> Message:
            nonlocal count, cut
            message = await receive()
            count += len(message.get("body", b""))
            if count <= most or cut:
                return message
            cut = True
            await _refuse(_too_long(most), send)
            return {"type": "http.disconnect"}

        async def unless_cut(message: Message) -> None:
            if not cut:
                await answer(message)

        await self._run(scope, counted, unless_cut)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except ClientDisconnect:
            return  # somebody closed the page in the middle of a request

    def _answering(self, asked: Asked, send: Send) -> Send:
        """``send`` with the policy headers, and the page's cookie where the page itself is answered."""
        own = _policy_headers(FILE_POLICY if asked.path.startswith(FILE) else PAGE_POLICY)
        if asked.path == "/":
            own.append((b"set-cookie", self.rules.cookie.encode()))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [_strict(name, value) for name, value in message.get("headers", [])]
                names = {name for name, _ in own if name != b"set-cookie"}
                message["headers"] = [*(pair for pair in kept if pair[0].lower() not in names), *own]
            await send(message)

        return answer


def _page_query(query: bytes) -> bytes:
    """What the page knows of a query; the rest is dropped."""
    found = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, value) for name, value in found if name in PAGE_QUERY]).encode()


def _strict(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """The login's cookie stays with this site; Gradio lends one to every site."""
    if name.lower() == b"set-cookie":
        value = value.replace(b"SameSite=none", b"SameSite=lax")
    return name, value


def _too_long(most: int) -> Refusal:
    return Refusal(413, f"a request must be at most {most // 2**20} MB")


def _policy_headers(policy: str) -> list[tuple[bytes, bytes]]:
    pairs = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return [(name.encode(), value.encode()) for name, value in pairs.items()]


async def _refuse(refused: Refusal, send: Send) -> None:
    """One sentence; the connection is closed, for the rest of the request is not read."""
    body = json.dumps({"error": refused.reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *_policy_headers(FILE_POLICY),
        *([(b"x-rollout-page", b"stale")] if refused.stale else []),
    ]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
