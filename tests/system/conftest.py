"""A real page server and a real browser that watches what the page asks for."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from core.config.paths import PROJECT_ROOT

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Served:
    """A page server of its own process and workspace."""

    def __init__(self, workspace: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.workspace = workspace
        self.url = f"http://127.0.0.1:{self.port}/"
        self.log = workspace.parent / "page.log"
        command = [sys.executable, "-m", "app", "--workspace", str(workspace), "--port", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=log, stderr=subprocess.STDOUT)

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
    """A browser page and what it did."""

    def __init__(self, browser: Browser, **context) -> None:
        self.context = browser.new_context(
            **({"viewport": {"width": 1440, "height": 900}, "locale": "en-US"} | context)
        )
        self.page: Page = self.context.new_page()
        self.hosts: set[str] = set()
        self.errors: list[str] = []
        self.failures: list[str] = []
        self.page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._note)

    def _note(self, response) -> None:
        if response.status >= 500:
            self.failures.append(f"{response.status} {response.url}")

    def check(self, served: Served) -> None:
        """No foreign host, no script error, no server error."""
        assert {host for host in self.hosts if host} == {f"127.0.0.1:{served.port}"}
        assert self.errors == []
        assert self.failures == []
        assert "Traceback" not in served.log.read_text()


@pytest.fixture(scope="session")
def chromium():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("a browser must be installed where CI is set, got none of " + ", ".join(BROWSERS))
        pytest.skip("no browser: install chromium to run the browser tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server for the tests of a file."""
    made = Served(tmp_path_factory.mktemp("page") / "workspace")
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def watched(chromium, served):
    """A fresh browser profile; what it did is checked at the end."""
    made = Watched(chromium)
    yield made
    made.context.close()
    made.check(served)
