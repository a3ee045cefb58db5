"""The main job in a real browser with real, short trainings: demo, A/B, Compare."""

import json
import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MINUTES = 60_000
"""Milliseconds."""
SHORT = {
    "with_prior_preservation": False,
    "class_prompt": None,
    "validation_num_inference_steps": 4,
    "validation_prompts": ["a noto emoji of a sks cat face on a blue background", "a noto emoji of a dog face"],
    "num_validation_images": 1,
    "validation_steps": 0,
    "drift_pairs": 2,
    "train_batch_size": 2,
    "rank": 2,
}


def open_tab(page, title):
    page.get_by_role("tab", name=title, exact=True).click()


def test_demo_to_ab_to_compare_with_real_trainings(served, watched, tmp_path):
    page = watched.page
    served.wait()
    page.goto(served.url)

    # first click
    page.get_by_role("button", name="Try the demo", exact=True).click()
    start = page.get_by_role("button", name="Start A/B", exact=True).and_(page.locator("#start"))
    expect(start).to_be_in_viewport()
    expect(page.locator("#preflight")).to_contain_text("Nothing else is training")

    shorten(page, tmp_path)

    # second click
    open_tab(page, "Launch")
    expect(page.locator("#preflight")).to_contain_text("2 prompts")
    expect(page.locator("#preflight")).not_to_contain_text("Problem")
    start.click()
    expect(page.locator("#status h3")).to_have_text(["teacher-forced", "rollout"], timeout=MINUTES)
    expect(page).to_have_url(re.compile(r"run=experiments%2Fdemo-ab"))
    expect(page.locator("#strip")).to_contain_text("demo-ab")
    expect(page.locator("#status .rw-state-done")).to_have_count(2, timeout=4 * MINUTES)
    expect(page.locator("#plot-loss svg")).to_have_attribute("aria-label", re.compile("rollout: .* at step 3"))

    # third click
    page.locator("#to-compare").click()
    see_comparison(page)

    for arm in ("teacher-forced", "rollout"):
        folder = served.workspace / "experiments" / "demo-ab" / arm
        assert json.loads((folder / "status.json").read_text())["phase"] == "done"
        assert (folder / "adapter" / "pytorch_lora_weights.safetensors").stat().st_size > 0


def shorten(page, tmp_path):
    """Makes the training short, through the page."""
    (tmp_path / "short.json").write_text(json.dumps(SHORT))
    open_tab(page, "Configure")
    page.get_by_role("button", name="As text: config").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a file").click()
    chooser.value.set_files(tmp_path / "short.json")
    expect(page.locator("#text-message")).to_contain_text("The form holds this config now")
    field = page.locator("#opt-max_train_steps input")
    field.fill("3")
    expect(page.locator("#preset-difference")).to_contain_text("Training length")


def see_comparison(page):
    """Both arms' pictures, scores, cost and curves."""
    expect(page.locator("#verdict strong").first).to_contain_text("Illustration, from one training seed")
    viewer = page.locator("rollout-viewer")
    viewer.get_by_role("button", name="Side by side", exact=True).click()
    pictures = viewer.locator(".stage img")
    expect(pictures).to_have_count(2)
    for arm, picture in zip(("Teacher-forced", "Rollout"), pictures.all(), strict=True):
        expect(picture).to_have_attribute("alt", re.compile(f"background; {arm}, step 3,"))
        page.wait_for_function("(image) => image.naturalWidth === 64", arg=picture.element_handle())
    first = page.locator("#scores-table tbody tr").first
    expect(first).to_contain_text("declared before training")
    for place in (0, 1):
        expect(first.locator("td").nth(place)).to_have_text(re.compile(r"^-?\d"))
    expect(page.locator("#costs table").first.locator("tbody tr")).to_have_count(2)
    expect(page.locator("#curves svg").first).to_be_visible()
    expect(page.locator("#config-difference tbody tr")).to_have_count(1)
