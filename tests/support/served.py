"""A real page server and a real browser that watches what the page asks for."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page

from core.config.paths import PROJECT_ROOT

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Served:
    """A page server of its own process and workspace; on a free port, or on the one given."""

    def __init__(
        self, workspace: Path, port: int | None = None, *flags: str, environment: dict[str, str] | None = None
    ) -> None:
        self.port = free_port() if port is None else port
        self.flags = flags
        self.environment = environment
        self.workspace = workspace
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = workspace.parent / "page.log"
        self.start()

    def start(self) -> "Served":
        """Starts the server, another time too: same port, same workspace."""
        command = [sys.executable, "-m", "app", "--workspace", str(self.workspace), "--port", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, *self.flags], cwd=PROJECT_ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        return self

    def wait(self, seconds: float = 60) -> "Served":
        deadline = time.monotonic() + seconds
        while "Open http" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)
        return self

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


class Watched:
    """A browser profile with one page, and what all of its pages did."""

    def __init__(self, browser: Browser, **context) -> None:
        self.context = browser.new_context(
            **({"viewport": {"width": 1440, "height": 900}, "locale": "en-US"} | context)
        )
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.failures: list[str] = []
        self.context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self.context.on("console", self._hear)
        self.context.on("response", self._note)
        self.page: Page = self.context.new_page()

    def _hear(self, message) -> None:
        if "Content Security Policy" in message.text:  # what the policy stopped never became a request
            self.errors.append(message.text)

    def _note(self, response) -> None:
        if response.status >= 500:
            self.failures.append(f"{response.status} {response.url}")

    def check(self, served: Served) -> None:
        """No foreign host, nothing that the page's policy had to stop, no script error, no server error."""
        assert {host for host in self.hosts if host} == {f"127.0.0.1:{served.port}"}
        assert self.errors == []
        assert self.failures == []
        log = served.log.read_text()
        assert "Traceback" not in log, log


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
