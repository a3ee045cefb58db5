"""The whole way without a mouse: Tab, Shift and Tab, arrow keys, Enter, Space."""

import re

import pytest
from playwright.sync_api import expect

from core.config.presets import load_preset
from core.runs.folder import RunFolder
from core.runs.process import kill_run
from core.runs.status import derive_state
from core.runs.workspace import Workspace
from tests.support.browsing import ACTIVE, TITLES, endless, open_folds, open_tab, wait_filled
from tests.support.fabricated import changed, make_experiment, write_steps

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 60_000
"""Milliseconds."""
MOST = 250
"""Presses that one way may take."""
RECORD = """() => {
  const isNew = !window.seen;
  window.seen = [];
  const note = (event) => {
    const node = event.composedPath()[0], style = getComputedStyle(node);
    const ring = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    window.seen.push({ node, ring: ring || style.boxShadow !== 'none', text: node.outerHTML.slice(0, 120) });
  };
  if (isNew) document.addEventListener('focusin', note);
  for (const viewer of document.querySelectorAll('rollout-viewer')) {
    viewer.shadowRoot.addEventListener('focusin', (event) => { event.stopPropagation(); note(event); });
  }
}"""
"""Writes down what gets the focus, and whether a ring of two pixels or a shadow shows it."""
REACHABLE = """(panel) => {
  const inside = (node) => (node.shadowRoot ? within(node.shadowRoot) : []);
  const within = (root) => [...root.querySelectorAll('*')].flatMap((node) => [node, ...inside(node)]);
  const controls = within(document.getElementById(panel)).filter((node) => node.matches(
    "a[href], button, summary, input, select, textarea, [tabindex='0']"));
  const radios = new Set();
  const asked = controls.filter((node) => {
    if (node.disabled || node.tabIndex < 0 || !node.checkVisibility({ visibilityProperty: true })) return false;
    if (node.type !== 'radio') return true;
    return node.checked;  // one stop a group, the arrow keys do the rest
  });
  const places = asked.map((node) => window.seen.findIndex((one) => one.node === node));
  return {
    missed: asked.filter((_, place) => places[place] < 0).map((node) => node.outerHTML.slice(0, 120)),
    ringless: window.seen.filter((one) => !one.ring).map((one) => one.text),
    inOrder: places.every((place, index) => index === 0 || place > places[index - 1]),
    count: asked.length,
  };
}"""


@pytest.fixture(scope="module")
def filled(served):
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    make_experiment(workspace, config=changed(load_preset("demo").config, max_train_steps=30))
    return served.wait()


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page, selector: str, key: str = "Tab") -> None:
    """Presses Tab until an element has the focus."""
    for _ in range(MOST):
        page.keyboard.press(key)
        if page.evaluate(f"(selector) => ({ACTIVE})()?.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached by {MOST} presses of {key}")


def pick(page, title: str) -> None:
    """Walks the open list of Compare by arrow keys until an entry is chosen; the list itself may be drawn anew."""
    for _ in range(12):
        press(page, "ArrowDown")
        page.wait_for_timeout(300)
        if page.locator("#pick-compare li.active", has_text=title).count():
            press(page, "Enter")
            page.wait_for_timeout(700)
        if page.locator("#pick-compare .token", has_text=title).count():
            return
    raise AssertionError(f"{title} is not chosen by arrow keys and Enter")


def test_every_control_is_reached_in_order_with_a_ring_and_none_is_a_trap(filled, watched):
    page = watched.page
    page.goto(f"{filled.url}?run=experiments/orange-cat")
    for title in TITLES:
        open_tab(page, title)
        wait_filled(page, title)
        open_folds(page, title)
        page.wait_for_timeout(1000)
        page.evaluate("() => window.scrollTo(0, 0)")
        page.locator(".rw-skip").focus()
        page.evaluate(RECORD)
        walk_to_the_end(page, title)
        found = page.evaluate(REACHABLE, f"tab-{title.lower()}")
        assert found["missed"] == [], title
        assert found["ringless"] == [], title
        assert found["inOrder"], title
        assert found["count"] > 0, title
        if title == "Launch":  # and back
            tab_to(page, ".rw-skip", "Shift+Tab")


def walk_to_the_end(page, title: str) -> None:
    """Presses Tab up to the footer."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.closest('footer') !== null"):
            return
    raise AssertionError(f"{title}: a trap at " + page.evaluate(f"() => ({ACTIVE})().outerHTML.slice(0, 200)"))


def test_the_skip_link_leads_past_the_tabs_and_arrow_keys_walk_them(filled, watched):
    page = watched.page
    page.goto(filled.url)
    expect(page.locator("#home-list li").first).to_be_visible()
    press(page, "Tab")
    skip = page.locator(".rw-skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    press(page, "Enter", "Tab")
    expect(page.locator("#try-demo")).to_be_focused()
    tab_to(page, "#tab-inspect-button", "Shift+Tab")
    press(page, "ArrowRight")
    expect(page.locator("#tab-export-button")).to_be_focused()
    press(page, "ArrowRight")
    expect(page.locator("#tab-home-button")).to_be_focused()
    press(page, "ArrowRight", "ArrowRight", "Space")
    expect(page.locator("#tab-configure")).to_be_visible()
    tab_to(page, "#preset input")
    press(page, "ArrowDown")
    expect(page.get_by_role("radio", name="Demo on flow matching")).to_be_checked()
    expect(page.locator("#preset-about")).to_contain_text("flow")


def test_a_training_is_started_watched_and_stopped_and_pictures_are_compared_without_a_mouse(filled, watched):
    """A real training of the demo; it is stopped while it loads."""
    page, asked = watched.page, []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.goto(filled.url)
    expect(page.locator("#home-list li").first).to_be_visible()
    tab_to(page, "#try-demo")
    press(page, "Enter")
    expect(page.locator("#preflight")).to_contain_text("Nothing else is training", timeout=PATIENCE)
    tab_to(page, "#mode input")
    press(page, "ArrowDown")
    expect(page.get_by_role("radio", name="Single run")).to_be_checked()
    expect(page.locator("#start")).to_have_text("Start single run")
    tab_to(page, "#name input")
    page.keyboard.type("by-keys")
    tab_to(page, "#start")
    press(page, "Space")
    run = RunFolder(filled.workspace / "runs" / "by-keys")
    try:
        expect(page.locator("#status")).to_contain_text("by-keys", timeout=PATIENCE)
        expect(page.locator("#strip")).to_contain_text("by-keys")
        expect(page.locator("#tab-monitor")).to_be_visible()
        tab_to(page, "#stop", "Shift+Tab")
        press(page, "Enter")
        expect(page.locator("#strip")).to_contain_text("Nothing is training", timeout=PATIENCE)
        assert derive_state(run).label == "stopped"
        assert asked == ["Stop this training? It saves what it has. Then the queue goes on, unless it is held."]
    finally:
        kill_run(run)
    tab_to(page, "#tab-monitor-button")
    press(page, "ArrowRight", "Enter")
    tab_to(page, "#pick-compare input")
    pick(page, "Orange cat")
    viewer = page.locator("rollout-viewer")
    expect(viewer.locator(".stage img").first).to_be_visible(timeout=PATIENCE)
    press(page, "Escape")
    tab_to(page, "rollout-viewer section, section[aria-label='Picture viewer']")
    press(page, "2", "ArrowLeft")
    expect(viewer.get_by_role("button", name="Side by side", exact=True)).to_have_attribute("aria-pressed", "true")
    expect(viewer.get_by_role("status")).to_contain_text("step 0")


def test_what_is_drawn_anew_keeps_the_focus_and_stays_open(filled, watched):
    """A training goes on: the plots are redrawn under the reader's hands."""
    page = watched.page
    with endless(Workspace(filled.workspace), "Redrawn") as run:
        write_steps(run, 20)
        page.goto(f"{filled.url}?run=runs/redrawn&tab=monitor")
        words = page.locator("#plot-loss details", has_text="In words")
        summary = words.locator("summary")
        expect(summary).to_be_visible(timeout=PATIENCE)
        summary.focus()
        press(page, "Enter")
        expect(words).to_have_attribute("open", "")
        write_steps(run, 20, first=21)
        expect(words).to_contain_text(re.compile("at step 40"), timeout=PATIENCE)
        expect(words).to_have_attribute("open", "")
        expect(summary).to_be_focused()
        press(page, "Enter")
        expect(words).not_to_have_attribute("open", "")
