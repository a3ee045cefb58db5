"""The queue in a real browser, by keys alone. It is held, so that nothing trains."""

import pytest
from playwright.sync_api import expect

from core.runs.folder import RunFolder
from core.runs.queue import hold, items, queue_path
from core.runs.status import Status, write_status
from core.runs.workspace import Workspace
from tests.support.browsing import open_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.faults]

PATIENCE = 60_000
"""Milliseconds."""


@pytest.fixture(scope="module")
def page_server(served):
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    hold(workspace)
    return served.wait()


def order(workspace):
    return [item.selection for item in items(workspace.root)]


def press(page, selector: str, key: str = "Enter") -> None:
    page.locator(selector).focus()
    page.keyboard.press(key)


def test_trainings_are_added_moved_and_removed_by_keys_and_each_key_shows_what_it_did(page_server, watched):
    page, workspace = watched.page, Workspace(page_server.workspace)
    page.goto(page_server.url)
    open_tab(page, "Launch")
    expect(page.locator("#preflight")).to_contain_text("Nothing else is training", timeout=PATIENCE)
    expect(page.locator("#queue-list")).to_contain_text("The queue is held", timeout=PATIENCE)
    page.get_by_role("radio", name="Single run").check()
    for place, name in enumerate(("one", "two"), 1):
        page.locator("#name input, #name textarea").fill(name)
        press(page, "#enqueue")
        expect(page.locator("#launch-message")).to_contain_text(f"{name} waits at place {place}", timeout=PATIENCE)
        expect(page.locator("#queue-list")).to_contain_text(f"runs/{name}", timeout=PATIENCE)
    assert order(workspace) == ["runs/one", "runs/two"]
    page.locator("#pick-queued input").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#pick-queued input")).to_have_value("2. two", timeout=PATIENCE)
    press(page, "#queue-up")
    expect(page.locator("#queue-message")).to_contain_text("two is at place 1 now", timeout=PATIENCE)
    expect(page.locator("#pick-queued input")).to_have_value("1. two", timeout=PATIENCE)
    expect(page.locator("#queue-up")).to_be_focused(timeout=PATIENCE)
    press(page, "#queue-remove", "Space")
    expect(page.locator("#queue-message")).to_contain_text("two was taken out of the queue", timeout=PATIENCE)
    assert order(workspace) == ["runs/one"]
    expect(page.locator("#pick-queued input")).to_have_value("not in the queue: two", timeout=PATIENCE)
    press(page, "#queue-add")
    expect(page.locator("#queue-message")).to_contain_text("two waits at place 2", timeout=PATIENCE)
    press(page, "#queue-hold")
    expect(page.locator("#queue-message")).to_contain_text("no next training starts", timeout=PATIENCE)

    # the list of the browser is older than the queue: what it offers is gone, and a sentence says so
    page.locator("#pick-queued input").focus()
    write_status(RunFolder(workspace.runs_dir / "one"), Status("done"))
    queue_path(workspace.root).unlink()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    press(page, "#queue-down")
    expect(page.locator("#queue-message")).to_contain_text("Nothing was moved", timeout=PATIENCE)
