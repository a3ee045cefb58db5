"""HTTP by hand, for requests that no client library would send, and what the page's own script sends."""

import contextlib
import json
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlencode

from tests.support.pages import Visitor

TIMEOUT = 60.0
Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def one(self, name: str) -> str:
        return ", ".join(self.all(name))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def send(port: int, request: bytes, address: str = "127.0.0.1") -> Answer:
    """Sends bytes as they are and reads one answer."""
    with socket.create_connection((address, port), TIMEOUT) as line:
        with contextlib.suppress(OSError):  # the server may answer and hang up before the end
            line.sendall(request)
        answer = HTTPResponse(line, method=request.partition(b" ")[0].decode())
        answer.begin()
        return Answer(answer.status, tuple(answer.getheaders()), answer.read())


def request(target: str, method: str = "GET", headers: Pairs = (), body: bytes = b"", version: str = "1.1") -> bytes:
    """A request whose target and headers are sent as they are."""
    lines = [f"{method} {target} HTTP/{version}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def ask(port: int, target: str, method: str = "GET", headers: Pairs = (), body: bytes = b"") -> Answer:
    """Asks with the usual ``Host``; nothing says where the request comes from."""
    own = [("Host", f"127.0.0.1:{port}"), ("Connection", "close"), *headers]
    length = [("Content-Length", str(len(body)))] if body or method == "POST" else []
    return send(port, request(target, method, [*own, *length], body))


class Attacker(Visitor):
    """Somebody who has opened the page, and then sends what its script would not."""

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What says that a request comes from the page."""
        return [("Cookie", self.cookie), ("Origin", f"http://127.0.0.1:{self.port}"), ("Sec-Fetch-Site", "same-origin")]

    @property
    def handlers(self) -> list[dict[str, Any]]:
        """Events that run something on the server, each handler with its inputs once."""
        seen = {
            (tuple(event["inputs"]), tuple(event["outputs"])): event for event in self.events if event["backend_fn"]
        }
        return list(seen.values())

    def get(self, target: str, headers: Pairs = ()) -> Answer:
        return ask(self.port, target, headers=[("Cookie", self.cookie), *headers])

    def post(self, target: str, body: Any, headers: Pairs | None = None) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = ("Content-Type", "application/json")
        return ask(self.port, target, "POST", [kind, *(self.headers if headers is None else headers)], data)

    def upload(self, *files: tuple[str, bytes]) -> Answer:
        """Uploads files under names that are sent as they are."""
        kind, body = multipart(files)
        return ask(self.port, "/gradio_api/upload", "POST", [("Content-Type", kind), *self.headers], body)

    def usual(self, event: dict[str, Any]) -> list[Any]:
        """The values that a page sends that was just opened."""
        return [self.values[number] for number in event["inputs"]]

    def call(self, event: dict[str, Any], values: Sequence[Any]) -> Answer:
        """Calls a handler as the page does, and waits for its answer."""
        body = {"data": list(values), "fn_index": event["id"], "session_hash": self.session, "trigger_id": None}
        if not event["queue"]:
            return self.post("/gradio_api/run/predict", body)
        joined = self.post("/gradio_api/queue/join", body)
        return self.get(f"/gradio_api/queue/data?session_hash={self.session}") if joined.status == 200 else joined


class LoggedIn(Attacker):
    """Somebody who has opened a page that asks for a login, and has logged in."""

    def __init__(self, port: int, name: str, password: str) -> None:
        visit = ask(port, "/").one("set-cookie").partition(";")[0]
        answer = log_in(port, visit, name, password)
        self.login = "; ".join(cookie.partition(";")[0] for cookie in answer.all("set-cookie"))
        super().__init__(port)
        self.cookie = f"{self.login}; {self.cookie}"

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        return super()._ask(method, path, body, {"Cookie": self.login, **headers})


def log_in(port: int, visit: str, name: str, password: str) -> Answer:
    """Sends the form of the login."""
    headers = [("Cookie", visit), ("Origin", f"http://127.0.0.1:{port}")]
    kind = ("Content-Type", "application/x-www-form-urlencoded")
    return ask(port, "/login", "POST", [kind, *headers], urlencode({"username": name, "password": password}).encode())


def multipart(files: Iterable[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Content type and body of an upload."""
    parts = [
        b'--cut\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n%s\r\n" % (name.encode(), data)
        for name, data in files
    ]
    return "multipart/form-data; boundary=cut", b"".join(parts) + b"--cut--\r\n"
