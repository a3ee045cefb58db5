"""A real training through the page: it outlives reloads, browsers and the page itself, is stopped, and goes on."""

import json
import re
import signal

import psutil
import pytest
from playwright.sync_api import expect

from core.runs.folder import RunFolder
from core.runs.process import kill_run
from core.runs.requests import pause_run
from core.runs.status import derive_state, read_status
from tests.support.browsing import open_tab
from tests.support.patience import until
from tests.support.served import Watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 240.0
"""Seconds."""
STEPS = 240
SHORT = {
    "with_prior_preservation": False,
    "class_prompt": None,
    "validation_prompts": [],
    "validation_steps": 0,
    "drift_pairs": 0,
    "drift_samples": 0,
    "train_batch_size": 1,
    "rank": 2,
    "max_train_steps": STEPS,
    "checkpointing_steps": 0,
    "scheduled_sampling_max_step_offset": 0,
}


@pytest.fixture
def run(served):
    """The run's folder, made by the page; its process does not outlive the test."""
    folder = RunFolder(served.workspace / "runs" / "long")
    yield folder
    kill_run(folder)


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended; a zombie has, and waits for a parent that is not the page any more."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def start(page, tmp_path) -> None:
    """Sets the training up through the form, and starts it as a single run."""
    (tmp_path / "short.json").write_text(json.dumps(SHORT))
    open_tab(page, "Configure")
    page.get_by_role("button", name="As text: config").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a file").click()
    chooser.value.set_files(tmp_path / "short.json")
    expect(page.locator("#text-message")).to_contain_text("The form holds this config now")
    open_tab(page, "Launch")
    page.get_by_role("radio", name="Single run").check()
    expect(page.locator("#start")).to_have_text("Start single run")
    page.locator("#name input").fill("long")
    page.locator("#start").click()
    expect(page.locator("#status")).to_contain_text("long")


def test_a_training_outlives_reload_and_page_and_is_stopped_and_resumed_from_it(
    served, watched, chromium, run, tmp_path
):
    page, asked = watched.page, []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    served.wait()
    page.goto(served.url)
    start(page, tmp_path)
    until(lambda: read_status(run).step > 0)

    # a pause holds it where it is: a reload and a browser that has started nothing show the same
    page.locator("#pause").click()
    until(lambda: derive_state(run).label == "paused")
    paused = f"step {read_status(run).step} of {STEPS}"
    expect(page.locator("#strip")).to_contain_text(paused)
    page.reload()
    other = Watched(chromium)
    other.page.goto(served.url)
    for shown in (page, other.page):
        open_tab(shown, "Monitor")
        expect(shown.locator("#strip")).to_contain_text(paused)
        expect(shown.locator("#strip")).to_contain_text("long")
        expect(shown.locator("#status")).to_contain_text(paused)
    page.locator("#continue").click()
    until(lambda: derive_state(run).label == "running")

    # the page goes down and comes back on the same port; the training never noticed
    process = psutil.Process(read_status(run).pid)
    before = read_status(run).step
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(PATIENCE)
    until(lambda: read_status(run).step > before)
    pause_run(run)  # as from the command line, so that a fast machine is not done before the page is back
    until(lambda: derive_state(run).label == "paused")
    assert not is_gone(process)
    served.start().wait(PATIENCE)
    latest = f"step {read_status(run).step} of {STEPS}"
    expect(page.locator("#strip")).to_contain_text(latest)
    other.page.reload()
    expect(other.page.locator("#strip")).to_contain_text(latest)
    page.locator("#continue").click()
    until(lambda: derive_state(run).label == "running")

    # stopped is what it says once the process is gone, and not before
    page.locator("#stop").click()
    expect(page.locator("#strip")).to_contain_text("Nothing is training", timeout=PATIENCE * 1000)
    assert is_gone(process)
    assert derive_state(run).label == "stopped"
    assert 0 < read_status(run).step < STEPS
    assert [question.split("?")[0] for question in asked] == ["Stop this training"]
    other.context.close()
    other.check(served)

    # and on from there to the end, in one course
    open_tab(page, "Monitor")
    expect(page.locator("#status .rw-state-stopped")).to_be_visible()
    page.locator("#resume").click()
    expect(page.locator("#status .rw-state-done")).to_be_visible(timeout=PATIENCE * 1000)
    expect(page.locator("#plot-loss svg")).to_have_attribute("aria-label", re.compile(f"at step {STEPS}"))
    steps = [json.loads(line)["step"] for line in run.metrics_path.read_text().splitlines()]
    assert steps == list(range(1, STEPS + 1))
    page.get_by_role("button", name="Log", exact=False).click()
    expect(page.locator("#log")).to_contain_text(re.compile(f"done: {STEPS} steps"))
    assert (run.adapter_dir / "pytorch_lora_weights.safetensors").stat().st_size > 0
