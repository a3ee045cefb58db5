"""The page in a real browser, over fabricated trainings."""

import re
import sys

import pytest
from PIL import Image
from playwright.sync_api import expect

from core.config.presets import load_preset
from core.runs import process
from core.runs.folder import RunFolder
from core.runs.status import derive_state
from core.runs.workspace import Workspace
from tests.support.browsing import open_tab
from tests.support.fabricated import finish, make_experiment

pytestmark = pytest.mark.browser

TABS = ("Home", "Data", "Configure", "Launch", "Monitor", "Compare", "Inspect", "Export")


@pytest.fixture(scope="module")
def filled(served):
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    make_experiment(workspace)
    return served.wait()


def test_a_wrong_value_is_told_at_its_field_and_in_the_summary_and_goes_away(filled, watched):
    page = watched.page
    page.goto(filled.url)
    open_tab(page, "Configure")
    field = page.locator("#opt-scheduled_sampling_probability")
    field.locator("input").fill("1.5")
    page.locator("#opt-rank input").fill("0")
    expect(page.locator("#problems")).to_contain_text("2 settings need a change")
    told = field.evaluate("(element) => getComputedStyle(element, '::after').content")
    assert told == '"scheduled_sampling_probability must be between 0 and 1, got 1.5"'
    assert field.locator("input").input_value() == "1.5"
    field.locator("input").fill("0.5")
    page.locator("#opt-rank input").fill("4")
    expect(page.locator("#problems")).to_be_empty()
    expect(page.locator("#rollout-in-force")).to_contain_text("probability is 0.5")
    assert field.evaluate("(element) => getComputedStyle(element, '::after').display") == "none"


def test_a_reload_keeps_the_draft_and_the_run(filled, watched):
    page = watched.page
    page.goto(filled.url)
    page.locator("#home-list li", has_text="Orange cat").get_by_role("link", name="Compare").click()
    expect(page.locator("rollout-viewer .stage img")).to_have_count(2)
    open_tab(page, "Configure")
    page.locator("#opt-rank input").fill("5")
    page.wait_for_function("() => Object.values(localStorage).length > 0")
    page.wait_for_timeout(1500)
    page.reload()
    open_tab(page, "Configure")
    expect(page.locator("#opt-rank input")).to_have_value("5")
    open_tab(page, "Monitor")
    expect(page.locator("#status h3")).to_have_text(["teacher-forced", "rollout"])


def test_measuring_tells_what_a_step_takes_and_up_to_where_anchored_targets_are_safe(filled, watched):
    """A real dry run of the demo, in a process of its own."""
    page = watched.page
    page.goto(filled.url)
    open_tab(page, "Launch")
    checks = page.locator("#tab-launch")
    expect(checks).to_contain_text("Not measured yet on this machine")
    page.locator("#measure").click()
    measured = re.compile(r"Measured here \(cpu\): [\d.]+ s a step, [\d.]+ × a plain one")
    expect(checks).to_contain_text(measured, timeout=120_000)
    expect(checks).to_contain_text(re.compile(r"\d+ % of the rolled items start above timestep \d+"))
    open_tab(page, "Configure")
    expect(page.locator("#tab-configure")).to_contain_text("measured here")


def test_uploaded_pictures_are_listed_with_their_prompts(filled, watched, tmp_path):
    page = watched.page
    page.goto(filled.url)
    page.get_by_role("button", name="Use my own pictures", exact=True).click()
    files = []
    for number in range(4):
        Image.new("RGB", (64, 64), ("orange", "red", "blue", "green")[number]).save(tmp_path / f"my {number}.png")
        files.append(tmp_path / f"my {number}.png")
    (tmp_path / "my 2.txt").write_text("a sks cat in blue")
    page.get_by_role("button", name="Or upload pictures").click()
    page.locator("#upload input[type=file]").set_input_files([*files, tmp_path / "my 2.txt"])
    table = page.locator("#data-table tbody tr")
    expect(table).to_have_count(4)
    expect(table.nth(2)).to_contain_text("a sks cat in blue")
    assert sorted(path.name for path in (filled.workspace / "datasets" / "my-pictures").iterdir())[0] == "my-0.png"
    expect(page.locator("#data-start")).to_be_in_viewport()


def test_a_failed_run_is_found_and_told_in_two_clicks(filled, watched):
    made = Workspace(filled.workspace)
    experiment = make_experiment(made, "Broken")
    finish(experiment.arms[1].run, "failed", 12, error="the loss is not finite at step 12", hint="lower learning_rate")
    finish(experiment.folder, "failed", error="1 of 2 arms did not end well")
    page = watched.page
    page.goto(filled.url)
    page.get_by_role("link", name="Broken", exact=True).click()
    expect(page.locator("#status [role=alert]")).to_contain_text("lower learning_rate")


def test_a_training_is_stopped_from_any_tab_after_a_question(filled, watched):
    workspace = Workspace(filled.workspace)
    run = RunFolder.create(workspace.runs_dir, "Endless", load_preset("demo").config)
    code = f"import os, time\nwhile not os.path.exists({str(run.stop_path)!r}): time.sleep(0.05)"
    process.start_run(run, command=[sys.executable, "-c", code])
    try:
        page = watched.page
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(filled.url)
        expect(page.locator("#strip")).to_contain_text("Endless")
        page.locator("#stop").click()
        expect(page.locator("#strip")).to_contain_text("Nothing is training", timeout=15_000)
        assert derive_state(run).label == "stopped"
    finally:
        process.kill_run(run)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways_and_the_theme_follows_the_system(filled, chromium, scheme):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="en-US")
    page = context.new_page()
    page.goto(filled.url)
    for title in TABS:
        open_tab(page, title)
        page.wait_for_timeout(700)
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), title
    dark = page.evaluate("() => document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")
    context.close()


def test_there_is_one_first_heading_and_every_input_has_a_name(filled, watched):
    page = watched.page
    page.goto(filled.url)
    for title in TABS:
        open_tab(page, title)
        page.wait_for_timeout(500)
        assert page.locator("h1:visible").count() == 1
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('input, textarea, select')]
                 .filter((e) => e.offsetParent !== null && e.type !== 'file')
                 .filter((e) => !e.labels?.length && !e.getAttribute('aria-label') && !e.closest('label'))
                 .map((e) => e.outerHTML.slice(0, 120))"""
        )
        assert nameless == [], title
        assert page.locator("img:visible:not([alt])").count() == 0, title


def test_the_policy_is_on_the_page_and_other_sites_are_refused(filled, watched):
    page = watched.page
    answer = page.goto(filled.url)
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    for path, headers, status in (
        ("", {"Host": "evil.example"}, 421),
        ("gradio_api/upload", {"Origin": "http://localhost:1"}, 403),
        ("gradio_api/file=http://example.com/", {}, 403),
        ("gradio_api/file=/etc/hostname", {}, 403),
        (f"gradio_api/file={filled.workspace}/experiments/orange-cat/rollout/config.json", {}, 403),
    ):
        assert page.request.get(filled.url + path, headers=headers).status == status, path


def test_served_pictures_are_samples_only(filled, watched):
    page = watched.page
    page.goto(filled.url + "?run=experiments/orange-cat&tab=monitor")
    expect(page.locator("#monitor-samples img")).to_have_count(8)
    folder = filled.workspace / "experiments" / "orange-cat" / "rollout"
    served = page.request.get(f"{filled.url}gradio_api/file={folder}/samples/step-000030/p00-s42.png")
    assert served.status == 200
    assert re.match("default-src 'none'", served.headers["content-security-policy"])
    assert page.request.get(f"{filled.url}gradio_api/file={folder}/log.txt").status == 403
