"""What tests in a real browser do on the page, and what they ask of it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, expect

from app.tabs import TABS
from core.config.presets import load_preset
from core.runs import process
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace

TITLES = tuple(tab.title for tab in TABS)
ACTIVE = """() => {
  let found = document.activeElement;
  while (found?.shadowRoot?.activeElement) found = found.shadowRoot.activeElement;
  return found;
}"""
"""The element that has the focus, within shadow roots too."""

FILLED = {
    "Home": "#home-list :is(li, p)",
    "Data": "#data-table :is(td, p)",
    "Configure": "#rollout-previews svg",
    "Launch": "#preflight li",
    "Monitor": "#plot-loss svg",
    "Compare": "#config-difference :is(td, p)",
    "Inspect": "#inspect-summary :is(td, p, li)",
    "Export": "#export-result :is(td, p)",
}
"""Of each tab what comes last, whether there is something to show or not."""


def open_tab(page: Page, title: str) -> None:
    """Opens a tab by the mouse, out of the menu where the bar is too short."""
    expect(page.locator("#strip")).not_to_be_empty()
    button = page.get_by_role("tab", name=title, exact=True)
    if not button.is_visible():
        page.locator("#tabs .overflow-menu > button").click()
        button = page.locator("#tabs .overflow-dropdown button", has_text=title)
    button.click()
    expect(page.locator(f"#tab-{title.lower()}")).to_be_visible()


def wait_filled(page: Page, title: str) -> None:
    """Waits until a tab shows what it has."""
    expect(page.locator(FILLED[title]).first).to_be_visible()


def open_folds(page: Page, title: str) -> None:
    """Opens every fold of a tab, the numbers of its plots too."""
    page.locator(f"#tab-{title.lower()}").evaluate(
        """(panel) => {
          panel.querySelectorAll(".gr-accordion > button:not(.open)").forEach((button) => button.click());
          panel.querySelectorAll("details").forEach((one) => { one.open = true; });
        }"""
    )


def scrolls_sideways(page: Page) -> bool:
    """Whether the page is wider than the window."""
    return page.evaluate("() => document.documentElement.scrollWidth > window.innerWidth")


@contextmanager
def endless(workspace: Workspace, name: str = "Endless") -> Iterator[RunFolder]:
    """A process that counts as a training until it is asked to stop; it is gone afterwards."""
    run = RunFolder.create(workspace.runs_dir, name, load_preset("demo").config)
    code = f"import os, time\nwhile not os.path.exists({str(run.stop_path)!r}): time.sleep(0.05)"
    process.start_run(run, command=[sys.executable, "-c", code])
    try:
        yield run
    finally:
        process.kill_run(run)
