"""Real pages in processes of their own, and visitors that send over HTTP what the page's script sends."""

import json
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from core.config.paths import PROJECT_ROOT

PATIENCE = 120.0
"""Seconds: a deadline for what takes a few on a machine that has nothing else to do."""
CONFIG = re.compile(r"window\.gradio_config = (\{.*?\});\s*</script>", re.DOTALL)


class ServedPage:
    """``python -m app`` over a workspace, on a port of its own."""

    def __init__(self, workspace: Path, log: Path, *flags: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = log
        command = [sys.executable, "-m", "app", "--workspace", str(workspace), "--port", str(self.port), *flags]
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=PROJECT_ROOT, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def wait(self) -> "ServedPage":
        deadline = time.monotonic() + PATIENCE
        while "Open http" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def visit(self) -> "Visitor":
        return Visitor(self.port)


class Visitor:
    """A browser tab without a browser: it holds what the components hold, and presses and chooses by ``elem_id``."""

    def __init__(self, port: int) -> None:
        self.port, self.session = port, secrets.token_hex(5)
        status, headers, body = self._ask("GET", "/", None, {})
        assert status == 200, body[:300]
        self.cookie = "; ".join(cookie.split(";")[0] for cookie in headers.get_all("set-cookie", []))
        found = CONFIG.search(body.decode())
        assert found is not None
        config = json.loads(found[1])
        self.parts = {part["id"]: part for part in config["components"]}
        self.events = config["dependencies"]
        self.values = {number: part["props"].get("value") for number, part in self.parts.items()}
        self.names = {part["props"].get("elem_id") or part["props"].get("label"): number
                      for number, part in self.parts.items()}  # fmt: skip

    def __getitem__(self, name: str) -> Any:
        return self.values[self.names[name]]

    def look(self, tab: str, /, **values: Any) -> None:
        """One look of the timer at a tab; ``values`` by name are put into components before."""
        timer = next(number for number, part in self.parts.items() if part["type"] == "timer")
        self.send(timer, "tick", {"view": tab, **values})

    def press(self, pressed: str, event: str = "click", /, **values: Any) -> list[str]:
        """An event of a component and all that follow it; the words of the toasts that it gave."""
        return self.send(self.names[pressed], event, values)

    def send(self, part: int, event: str, values: Mapping[str, Any]) -> list[str]:
        for name, value in values.items():
            self.values[self.names[name]] = value
        first = next(one for one in self.events if [part, event] in [list(target) for target in one["targets"]])
        toasts = self.run(first, part)
        following = [one for one in self.events if one.get("trigger_after") == first["id"]]
        while following:
            one = following.pop(0)
            if one.get("backend_fn", True) and not (one.get("trigger_only_on_success") and toasts):
                toasts += self.run(one, part)
            following += [next_one for next_one in self.events if next_one.get("trigger_after") == one["id"]]
        return toasts

    def run(self, event: Mapping[str, Any], part: int) -> list[str]:
        if not event.get("backend_fn", True):
            return []
        call = {
            "data": [self.values[number] for number in event["inputs"]], "fn_index": event["id"], "event_data": None,
            "trigger_id": part, "session_hash": self.session,
        }  # fmt: skip
        if event.get("queue") is False:
            status, _, body = self._ask("POST", "/gradio_api/run/predict", json.dumps(call), self._headers())
            assert status == 200, body[:2000]
            self._take(event, json.loads(body)["data"])
            return []
        status, _, body = self._ask("POST", "/gradio_api/queue/join", json.dumps(call), self._headers())
        assert status == 200, body[:2000]
        return self._listen(event)

    def _listen(self, event: Mapping[str, Any]) -> list[str]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request("GET", f"/gradio_api/queue/data?session_hash={self.session}", headers=self._headers())
        answer, toasts = connection.getresponse(), []
        assert answer.status == 200
        for line in answer:
            if not line.startswith(b"data:"):
                continue
            message = json.loads(line[5:])
            if message["msg"] == "log":
                toasts.append(message["log"])
            if message["msg"] == "process_completed":
                if not message["success"]:
                    toasts.append(f"error: {message['output'].get('error')}")
                else:
                    self._take(event, message["output"]["data"])
                break
        connection.close()
        return toasts

    def _take(self, event: Mapping[str, Any], data: list[Any]) -> None:
        for number, value in zip(event["outputs"], data, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                self.parts[number]["props"] |= {key: item for key, item in value.items() if key != "__type__"}
                if "value" not in value:
                    continue
                value = value["value"]
            self.values[number] = value

    def _headers(self) -> dict[str, str]:
        return {
            "Content-Type": "application/json", "Cookie": self.cookie, "Origin": f"http://127.0.0.1:{self.port}",
            "x-gradio-user": "app",
        }  # fmt: skip

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, Any, bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer.headers, data
