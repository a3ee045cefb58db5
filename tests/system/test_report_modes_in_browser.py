"""The modes of the report's picture viewer in a real browser: divider, side by side, flicker, difference."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.reports import ORANGE, WHITE, Reader

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_divider_moves_by_range_by_handle_and_by_pointer(reader):
    divider = reader.viewer.get_by_role("slider", name="Divider", exact=True)
    divider.focus()
    reader.press("ArrowLeft")
    expect(divider).to_have_value("49")
    reader.press("Home")
    assert reader.colours(0.1, 0.9) == [WHITE, WHITE]
    expect(reader.where).to_contain_text("step 30")
    handle = reader.viewer.get_by_role("slider", name="Divider on the picture")
    handle.focus()
    reader.press("End", "ArrowLeft", "PageDown")
    expect(divider).to_have_value("88")
    expect(handle).to_have_attribute("aria-valuetext", "88 % Teacher-forced, 12 % Rollout")
    assert reader.colours(0.8, 0.95) == [ORANGE, WHITE]
    box = reader.stage.bounding_box()
    reader.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50)
    reader.page.mouse.down()
    reader.page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 80, steps=4)
    reader.page.mouse.up()
    expect(divider).to_have_value("25")
    assert reader.colours(0.15, 0.5) == [ORANGE, WHITE]


def test_side_by_side_shows_all_arms_and_what_is_not_drawn_keeps_its_place(reader):
    reader.focus()
    reader.press("2", "ArrowDown")
    expect(reader.viewer.get_by_role("button", name="Side by side")).to_have_attribute("aria-pressed", "true")
    figures = reader.stage.locator("figure")
    expect(figures).to_have_text(["Teacher-forced (left)", "Rollout (right)not drawn"])
    one, other = (figure.bounding_box() for figure in figures.all())
    sides = ("width", "height", "y")
    assert [one[side] for side in sides] == pytest.approx([other[side] for side in sides], abs=0.5)


def test_flicker_switches_by_hand_and_says_what_is_shown(reader):
    reader.focus()
    reader.press("3")
    shown = reader.viewer.get_by_text(re.compile("^Shown: "))
    expect(shown).to_have_text("Shown: Teacher-forced (left)")
    expect(shown).to_have_attribute("aria-live", "polite")
    assert reader.colours(0.5) == [ORANGE]
    reader.press("Space")
    expect(shown).to_have_text("Shown: Rollout (right)")
    assert reader.colours(0.5) == [WHITE]
    reader.viewer.get_by_role("button", name="Show the other arm").focus()
    reader.press("Enter")
    expect(shown).to_have_text("Shown: Teacher-forced (left)")
    reader.page.wait_for_timeout(1500)
    expect(shown).to_have_text("Shown: Teacher-forced (left)")


def test_flicker_goes_by_itself_only_on_request_and_ends_with_the_mode(reader):
    reader.focus()
    reader.press("3")
    reader.viewer.get_by_label("Switch by itself").focus()
    reader.press("Space")
    shown = reader.viewer.get_by_text(re.compile("^Shown: "))
    expect(shown).to_have_text("Shown: Rollout (right)")
    expect(shown).to_have_attribute("aria-live", "off")
    expect(shown).to_have_text("Shown: Teacher-forced (left)")
    reader.press("1")
    expect(reader.stage).to_have_attribute("data-mode", "slider")
    before = reader.stage.get_attribute("data-shown")
    reader.page.wait_for_timeout(1500)
    assert reader.stage.get_attribute("data-shown") == before


def test_reduced_motion_leaves_the_flicker_to_the_hand(chromium, report):
    reader = Reader(chromium, report, reduced_motion="reduce")
    reader.focus()
    reader.press("3")
    expect(reader.viewer.get_by_label("Switch by itself")).to_be_disabled()
    expect(reader.viewer.get_by_text("asks for reduced motion")).to_be_visible()
    reader.press("Space")
    expect(reader.stage).to_have_attribute("data-shown", "right")
    reader.context.close()


def test_flicker_stops_when_reduced_motion_is_asked_for_later(reader):
    reader.focus()
    reader.press("3")
    reader.viewer.get_by_label("Switch by itself").check()
    expect(reader.stage).to_have_attribute("data-shown", "right")
    reader.page.emulate_media(reduced_motion="reduce")
    expect(reader.viewer.get_by_label("Switch by itself")).to_be_disabled()
    expect(reader.viewer.get_by_label("Switch by itself")).not_to_be_checked()


def test_the_difference_is_black_where_pictures_are_equal_and_grows_with_its_factor(reader):
    reader.focus()
    reader.press("4", *["ArrowLeft"] * 6)
    assert reader.picture().getextrema() == ((0, 0), (0, 0), (0, 0))
    reader.press(*["ArrowRight"] * 6, "]")
    gain = reader.viewer.get_by_role("slider", name="Amplification")
    gain.focus()
    reader.press("Home")
    plain = reader.colours(0.5)[0]
    assert plain == (255, 165, 128)  # orange beside navy
    reader.press("ArrowRight")
    expect(reader.viewer.locator(".names")).to_have_text("|Teacher-forced − Rollout| × 2")
    assert reader.colours(0.5)[0] == (255, 255, 255)


def test_a_difference_with_a_picture_that_is_not_drawn_is_no_difference(reader):
    reader.focus()
    reader.press("4", "ArrowDown")
    expect(reader.stage.get_by_text("not drawn")).to_be_visible()
    assert reader.stage.evaluate("(stage) => getComputedStyle(stage).filter") == "none"
