"""How fast the page answers, and what an open idle tab costs the server."""

import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import psutil

from core.bench import figure
from core.config.paths import PROJECT_ROOT
from core.errors import RunError

STARTS = 3
WATCH_SECONDS = 30
TIMEOUT = 120


def measure() -> None:
    """Prints process start to first answer, and the server's processor share without a tab and with one idle tab."""
    times = [_first_answer() for _ in range(STARTS)]
    figure(
        f"process start to the first answer of the page, median of {STARTS}",
        f"{sorted(times)[STARTS // 2]:.2f} s",
        "≤ 4",
    )
    bare = [_first_answer(_BARE) for _ in range(STARTS)]
    figure("the same for a bare Gradio page", f"{sorted(bare)[STARTS // 2]:.2f} s")
    without, with_tab = _idle_shares()
    bare_with_tab = _idle_shares(_BARE)[1]
    figure(f"server's share of a core, no tab, over {WATCH_SECONDS} s", f"{without:.2f} %")
    figure("the same with one idle tab open in Chromium", f"{with_tab:.2f} %")
    figure("a bare Gradio page with one idle tab", f"{bare_with_tab:.2f} %")
    figure("an idle tab adds to the bare server", f"{with_tab - bare_with_tab:.2f} %", "< 1.5 %")


_BARE = [
    "-c",
    "import sys, gradio as gr\nwith gr.Blocks() as page: gr.Markdown('bare')\n"
    "page.launch(server_port=int(sys.argv[1]), share=False, ssr_mode=False, quiet=True)",
]


def _command(workspace: str, port: int, bare: list[str] | None) -> list[str]:
    if bare is not None:
        return [sys.executable, *bare, str(port)]
    return [sys.executable, "-m", "app", "--server-port", str(port), "--workspace", workspace]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A page in a process of its own, with the seconds that it took to answer."""

    def __init__(self, bare: list[str] | None = None):
        self.workspace = tempfile.TemporaryDirectory(prefix="rollout-bench-")
        self.port = _free_port()
        began = time.perf_counter()
        self.process = subprocess.Popen(
            _command(self.workspace.name, self.port, bare), cwd=PROJECT_ROOT, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.url = f"http://127.0.0.1:{self.port}/"
        while not self._answers():
            if self.process.poll() is not None or time.perf_counter() - began > TIMEOUT:
                self.close()
                raise RunError(f"the page must answer at {self.url}, but its process ended or took over {TIMEOUT} s")
            time.sleep(0.02)
        self.seconds = time.perf_counter() - began

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def share(self) -> float:
        """Per cent of a core over the next WATCH_SECONDS."""
        process = psutil.Process(self.process.pid)
        before = process.cpu_times()
        time.sleep(WATCH_SECONDS)
        after = process.cpu_times()
        return 100 * (after.user - before.user + after.system - before.system) / WATCH_SECONDS

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.workspace.cleanup()


def _first_answer(bare: list[str] | None = None) -> float:
    server = Server(bare)
    server.close()
    return server.seconds


def _idle_shares(bare: list[str] | None = None) -> tuple[float, float]:
    """Without a tab, and with one that was opened, has settled, and is left alone."""
    from playwright.sync_api import sync_playwright  # a development package: only this bench needs a browser

    server = Server(bare)
    try:
        without = server.share()
        with sync_playwright() as playwright:
            arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
            tab = browser.new_page()
            tab.goto(server.url)
            tab.wait_for_timeout(10_000)
            with_tab = server.share()
            browser.close()
    finally:
        server.close()
    return without, with_tab
