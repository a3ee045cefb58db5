"""Several tabs on one real server while a training grows: no error, and one drawing of each chart per change."""

import json
import subprocess
import sys
import threading
import time

import psutil
import pytest
from playwright.sync_api import expect

from app.tabs.monitor import MORE_FOLD
from core.bench import tabs as bench_tabs
from core.bench.tabs import Looked, Tab, look, recorded
from core.config.presets import load_preset
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.status import Status, write_status
from core.runs.workspace import Workspace
from tests.support.fabricated import finish, write_probe, write_sample, write_steps

CLIENTS = 5
REDRAW_AFTER = 5.0
STEP_CHARTS = 4
"""Loss, probability, length, and the live plots, which are drawn together; the others lie in a closed fold."""
ALL_CHARTS = 7


@pytest.fixture(scope="module")
def run(served):
    """A training whose process lives, with a few steps, a probe and samples."""
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    made = RunFolder.create(workspace.runs_dir, "grows", load_preset("demo").config)
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = Identity.of(process.pid)
    status = Status(phase="training", step=5, total=30, pid=own.pid, create_time=own.create_time, heartbeat=time.time())
    write_status(made, status)
    write_steps(made, 5, rolled=3)
    write_probe(made, 0, -0.05)
    for prompt in range(2):
        write_sample(made, 0, prompt)
    served.wait()
    yield made
    process.communicate(b"\n")


def grow(run: RunFolder, until: threading.Event) -> None:
    """A step every tenth of a second."""
    step = 6
    while not until.wait(0.1):
        write_steps(run, 1, first=step, rolled=3)
        step += 1


def counts(looked: Looked) -> list[int]:
    return sorted(len(found) for found in looked.drawings.values())


@pytest.mark.browser
def test_the_tabs_send_what_a_browser_sends_and_a_fold_is_filled_when_it_is_opened(served, run, watched):
    sent = []
    watched.page.on("request", lambda request: sent.append(request) if request.method == "POST" else None)
    expected = recorded(served.url, "runs/grows")

    def by_timer():
        for request in sent:
            body = json.loads(request.post_data) if "run/predict" in request.url else {}
            if body.get("trigger_id") == expected.trigger and body["data"][0] == "monitor":
                return request, body
        return None

    watched.page.goto(f"{served.url}?run=runs/grows&tab=monitor")
    deadline = time.monotonic() + 60
    while by_timer() is None and time.monotonic() < deadline:
        watched.page.wait_for_timeout(100)
    request, body = by_timer()
    expect(watched.page.locator("#plot-grad_norm")).to_have_count(0)
    ours = Tab(served.url, expected).message()
    for one in (body, ours):
        del one["data"][1], one["session_hash"]  # what it has seen, and who it is
    assert body == ours
    assert request.headers["content-type"] == bench_tabs.HEADERS["Content-Type"]
    watched.page.locator(f"#{MORE_FOLD} > button").click()
    expect(watched.page.locator("#plot-grad_norm svg[role=img]")).to_be_visible()


def test_tabs_on_a_growing_run_get_no_error_and_one_drawing_per_change(served, run):
    recording = recorded(served.url, "runs/grows")
    tabs = [Tab(served.url, recording) for _ in range(CLIENTS)]
    stop, began = threading.Event(), time.monotonic()
    writer = threading.Thread(target=grow, args=(run, stop))
    writer.start()
    first = look(tabs, 3.0)
    stop.set()
    writer.join()
    assert first.errors == []
    assert len(first.answers) >= CLIENTS
    assert len(first.drawings) == ALL_CHARTS
    assert first.pictures == 2 * CLIENTS
    before = 1  # the test before may have had it drawn
    assert max(counts(first)) <= before + 1 + (time.monotonic() - began) // REDRAW_AFTER

    finish(run)
    last = look(tabs, 0.5)  # each tab looks once
    assert last.errors == []
    assert counts(last) == [1] * STEP_CHARTS
    assert last.pictures == 0

    after = look(tabs, 0.5)
    assert after.errors == []
    assert after.drawings == {}
    assert after.bytes < 4096 * CLIENTS


@pytest.mark.faults
def test_hundreds_of_visits_do_not_fill_the_memory(served, run):
    page = psutil.Process(served.process.pid)
    recording = recorded(served.url, "runs/grows")

    def grown(visits: int) -> float:
        before = page.memory_info().rss
        for _ in range(visits):
            assert look([Tab(served.url, recording)], 0.01).errors == []
        return (page.memory_info().rss - before) / 2**20

    grown(150)
    assert grown(150) < 40  # what is kept of as many visits takes 100 MiB
