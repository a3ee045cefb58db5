"""The report, opened from the disk in a real browser, and its picture viewer walked by keyboard."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.reports import CAT, DOG, GRAY, ORANGE, WHITE, Reader

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_page_opens_at_the_newest_pictures_with_the_verdict_on_top(reader):
    expect(reader.page.locator(".verdict")).to_contain_text("Exploratory, from 2 training seeds")
    expect(reader.where).to_have_text(f"{CAT}: step 30, sample seed 42, training seed 42")
    assert reader.colours(0.2, 0.8) == [ORANGE, WHITE]
    alts = [image.get_attribute("alt") for image in reader.stage.locator("img").all()]
    assert alts == [f"{CAT}; {arm}, step 30, sample seed 42, training seed 42" for arm in ("Teacher-forced", "Rollout")]


def test_keys_walk_steps_prompts_and_seeds_and_stop_at_the_ends(reader):
    reader.focus()
    for keys, told in (
        (["ArrowLeft"], f"{CAT}: step 25, sample seed 42, training seed 42"),
        (["ArrowLeft", "ArrowRight", "ArrowRight", "ArrowRight"], f"{CAT}: step 30, sample seed 42, training seed 42"),
        (["ArrowDown", "ArrowDown"], f"{DOG}: step 30, sample seed 42, training seed 42"),
        (["ArrowUp", "]"], f"{CAT}: step 30, sample seed 43, training seed 42"),
        (["."], f"{CAT}: step 30, sample seed 43, training seed 43"),
        (["[", ","], f"{CAT}: step 30, sample seed 42, training seed 42"),
    ):
        reader.press(*keys)
        expect(reader.where).to_have_text(told)
    assert (
        reader.viewer.get_by_role("combobox", name="Step").evaluate("(select) => select.selectedOptions[0].text")
        == "30"
    )


def test_keys_belong_to_the_page_while_the_viewer_has_no_focus(reader):
    reader.press("ArrowLeft", "4")
    expect(reader.where).to_contain_text("step 30")
    expect(reader.stage).to_have_attribute("data-mode", "slider")


def test_every_key_is_listed(reader):
    keys = reader.viewer.locator("kbd").all_text_contents()
    assert keys == ["←", "→", "↑", "↓", "[", "]", ",", ".", "1", "2", "3", "4", "space"]


def test_other_arms_are_chosen_by_their_fields(reader):
    reader.viewer.get_by_label("Right arm").select_option(label="Teacher-forced")
    assert reader.colours(0.2, 0.8) == [ORANGE, ORANGE]
    reader.viewer.get_by_label("Left arm").select_option(label="Rollout")
    assert reader.colours(0.2, 0.8) == [WHITE, ORANGE]


def test_a_cell_of_the_grid_is_shown_above_by_enter_and_by_click(reader):
    cells = reader.viewer.locator("td button")
    expect(cells).to_have_count(14)
    cells.first.focus()
    reader.press("Enter")
    expect(reader.where).to_contain_text(f"{CAT}: step 0")
    cells.last.click()
    expect(reader.where).to_contain_text(f"{DOG}: step 30")
    expect(cells.last).to_have_attribute("aria-current", "true")
    reader.press("ArrowLeft", "ArrowUp")
    assert reader.active("(element) => element.dataset.name") == "cell 0 25"


def test_a_viewer_that_the_page_renews_goes_on_where_its_reader_was(reader):
    reader.focus()
    reader.press("3", "ArrowDown", "]")
    reader.viewer.get_by_role("button", name="Flicker").focus()
    reader.viewer.evaluate("(viewer) => { viewer.parentElement.innerHTML += '' }")
    expect(reader.where).to_have_text(f"{DOG}: step 30, sample seed 43, training seed 42")
    expect(reader.stage).to_have_attribute("data-mode", "flicker")
    expect(reader.viewer.get_by_role("button", name="Flicker")).to_be_focused()


def test_a_table_that_changes_is_shown_anew(reader):
    drawn = "() => document.querySelector('rollout-viewer').shadowRoot.querySelectorAll('td img').length"
    assert reader.page.evaluate(drawn) == 12
    reader.viewer.locator("script").evaluate(
        """(script) => {
          const table = JSON.parse(script.textContent);
          table.runs[1].spots = [];
          script.textContent = JSON.stringify(table);
        }"""
    )
    reader.page.wait_for_function(f"{drawn} === 9".replace("() => ", ""))
    expect(reader.stage.get_by_text("not drawn")).to_be_visible()


def test_arms_that_end_at_other_steps_are_compared_at_their_ends(reader):
    reader.viewer.locator("script").evaluate(
        """(script) => {
          const table = JSON.parse(script.textContent);
          table.runs[1].spots = table.runs[1].spots.filter(([step]) => step === 0);
          script.textContent = JSON.stringify(table);
        }"""
    )
    expect(reader.where).to_contain_text("step 0")
    reader.viewer.get_by_role("combobox", name="Step").select_option(label="each run's last")
    expect(reader.viewer.locator(".names")).to_have_text("Teacher-forced, step 30Rollout, step 0")
    expect(reader.stage.locator("img").last).to_have_attribute("alt", re.compile("Rollout, step 0,"))
    assert reader.colours(0.2, 0.8) == [ORANGE, GRAY]


def test_nothing_drawn_yet_is_said(reader):
    table = '<script type="application/json">{"key": "x", "prompts": [], "runs": []}</script>'
    reader.viewer.evaluate("(viewer, table) => { viewer.innerHTML = table }", table)
    expect(reader.viewer.get_by_text("No pictures yet")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways_and_every_target_fits_a_finger(chromium, report, scheme):
    reader = Reader(chromium, report, viewport={"width": 390, "height": 844}, color_scheme=scheme)
    for mode in ("1", "2", "3", "4"):
        reader.focus()
        reader.press(mode)
        assert reader.page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth"), mode
        for target in reader.viewer.locator("button, select, input[type=range], .check").all():
            if target.is_visible():
                assert target.bounding_box()["height"] >= 32
    background = reader.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
    reader.context.close()


def test_focus_is_seen(reader):
    reader.page.keyboard.press("Tab")
    assert reader.active("(element) => getComputedStyle(element).outlineStyle") == "solid"


def test_small_pictures_are_enlarged_by_their_own_pixels(reader):
    image = reader.stage.locator("img").first
    assert image.evaluate("(image) => getComputedStyle(image).imageRendering") == "pixelated"
