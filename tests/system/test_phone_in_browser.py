"""The page on a phone: nothing lies beside the screen, and what is pressed is large enough for a thumb."""

import os
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from core.config.paths import PROJECT_ROOT
from core.config.presets import load_preset
from core.runs.workspace import Workspace
from tests.support.browsing import TITLES, endless, open_folds, open_tab, scrolls_sideways, wait_filled
from tests.support.fabricated import changed, make_experiment
from tests.support.served import Watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
LEAST = 24
"""Pixels of a control, each way (WCAG 2.2, 2.5.8)."""
THUMB = 44
"""Pixels of height of a button."""
TARGETS = """(panel) => {
  const within = (root) => [...root.querySelectorAll('*')].flatMap((node) => [node, ...inside(node)]);
  const inside = (node) => (node.shadowRoot ? within(node.shadowRoot) : []);
  const isShown = (node) => node.checkVisibility({ visibilityProperty: true });
  return within(document.getElementById(panel)).filter(isShown)
    .filter((node) => node.matches('a[href], button, summary, input, select, textarea, [role=button]'))
    .filter((node) => node.type !== 'file' && !node.disabled)
    .map((node) => {
      const box = (node.closest('label') ?? node).getBoundingClientRect();  // a label is pressed like its input
      return { text: node.outerHTML.slice(0, 100), tag: node.tagName, width: box.width, height: box.height };
    });
}"""
BESIDE = """(panel) => [...document.getElementById(panel).querySelectorAll('*')].filter((node) => {
  if (!node.checkVisibility() || node.getBoundingClientRect().right <= window.innerWidth + 1) return false;
  for (let outer = node.parentElement; !outer.matches('.gradio-container'); outer = outer.parentElement) {
    if (['auto', 'scroll'].includes(getComputedStyle(outer).overflowX)) return false;
  }
  return true;
}).map((node) => node.outerHTML.slice(0, 100))"""
"""What lies beside the screen and in no frame of its own that scrolls: it is cut off, although the page is not wide."""
MOVES = """() => [...document.querySelectorAll('*')].flatMap((node) => ['', '::before', '::after'].map((part) => {
  const style = getComputedStyle(node, part || null);
  const lasts = (text) => text.split(',').some((one) => parseFloat(one) > 0);
  const moves = (style.animationName !== 'none' && lasts(style.animationDuration)) || lasts(style.transitionDuration);
  return moves ? node.outerHTML.slice(0, 80) + part : '';
})).filter(Boolean)"""
CHILD = """
def test_child(chromium):
    raise AssertionError("there is no browser to get here with")
"""


@pytest.fixture(scope="module")
def filled(served):
    """A comparison, and a training that runs: the strip has all of its buttons."""
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    make_experiment(workspace, config=changed(load_preset("demo").config, max_train_steps=30))
    with endless(workspace, "A training with a long name of its own"):
        yield served.wait()


@pytest.fixture
def phone(chromium, filled):
    made = Watched(chromium, reduced_motion="reduce", **PHONE)  # a fold that turns its arrow is measured at rest
    made.page.goto(f"{filled.url}?run=experiments/orange-cat")
    yield made.page
    made.context.close()
    made.check(filled)


def test_no_tab_scrolls_sideways_and_every_control_is_large_enough(phone):
    for title in TITLES:
        open_tab(phone, title)
        wait_filled(phone, title)
        open_folds(phone, title)
        phone.wait_for_timeout(700)
        assert not scrolls_sideways(phone), title
        assert phone.evaluate(BESIDE, f"tab-{title.lower()}") == [], title
        found = phone.evaluate(TARGETS, f"tab-{title.lower()}")
        assert found, title
        small = [one["text"] for one in found if min(one["width"], one["height"]) < LEAST]
        assert small == [], title
        low = [one["text"] for one in found if one["tag"] == "BUTTON" and one["height"] < THUMB - 8]
        assert low == [], title


def test_the_buttons_of_the_strip_wrap_and_stay_on_the_screen(phone):
    for name in ("stop", "kill"):
        button = phone.locator(f"#{name}")
        expect(button).to_be_visible()
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["viewport"]["width"]
        assert box["height"] >= THUMB
    expect(phone.locator("#strip")).to_contain_text("A training with a long name of its own")
    assert not scrolls_sideways(phone)


def test_nothing_moves_by_itself_where_reduced_motion_is_asked_for(chromium, filled):
    made = Watched(chromium, reduced_motion="reduce", **PHONE)
    made.page.goto(f"{filled.url}?run=experiments/orange-cat&tab=monitor")
    expect(made.page.locator("#stop")).to_be_visible()
    assert made.page.evaluate(MOVES) == []
    made.context.close()
    made.check(filled)


@pytest.mark.parametrize(("ci", "ends"), [("1", "1 error"), ("", "1 skipped")], ids=["in CI", "elsewhere"])
def test_a_missing_browser_is_an_error_in_ci_and_a_visible_skip_elsewhere(ci, ends, tmp_path):
    """A real pytest whose path holds no browser."""
    (tmp_path / "test_child.py").write_text(CHILD)
    paths = [str(PROJECT_ROOT), str(PROJECT_ROOT / "tests" / "system")]
    environ = {**os.environ, "PATH": str(tmp_path), "CI": ci, "PYTHONPATH": os.pathsep.join(paths)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "-ra",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert ends in done.stdout.splitlines()[-1]
    assert ("must be installed where CI is set" if ci else "install chromium") in done.stdout
    assert (done.returncode != 0) == bool(ci)
