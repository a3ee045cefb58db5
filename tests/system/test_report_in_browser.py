"""The report, opened from the disk in a real browser, and its picture viewer walked by keyboard."""

import io
import re
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from playwright.sync_api import expect

from core.config.presets import load_preset
from core.plots import PLOTS
from core.report.export import export_report
from core.runs.workspace import Workspace
from core.samples.found import Spot, find_samples
from tests.support.fabricated import changed, make_experiment, write_sample

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CAT, DOG = "a cat", "a dog"
ORANGE, WHITE, GRAY = (255, 165, 0), (255, 255, 255), (128, 128, 128)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two arms of two seeds with two sample seeds; at step 0 the arms are alike, and pictures are missing."""
    config = changed(load_preset("demo").config, max_train_steps=30, validation_prompts=(CAT, DOG))
    experiment = make_experiment(Workspace(tmp_path_factory.mktemp("browser") / "workspace"), config=config, seeds=2)
    for arm in experiment.arms:
        for prompt in (0, 1):
            write_sample(arm.run, 30, prompt, 43, colour="orange" if arm.arm == "teacher-forced" else "navy")
    for step in (5, 10, 15, 20, 25):
        write_sample(experiment.arms[0].run, step)
    find_samples(experiment.arms[1].run.samples_dir)[Spot(30, 1, 42)].unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.report.plots.PLOTS", {name: PLOTS[name] for name in ("loss", "drift_m1")})
        return export_report(experiment, tmp_path_factory.mktemp("out") / "report")


class Reader:
    """A browser page that shows the report, and what it did."""

    def __init__(self, chromium, report: Path, **context) -> None:
        self.context = chromium.new_context(**({"viewport": {"width": 1440, "height": 1000}} | context))
        self.page = self.context.new_page()
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto((report / "index.html").as_uri())
        self.viewer = self.page.locator("rollout-viewer")
        self.where = self.viewer.get_by_role("status")
        self.stage = self.viewer.locator(".stage")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def focus(self) -> None:
        self.viewer.locator("section").focus()

    def active(self, question: str):
        """What a JavaScript function says of the viewer's element that has the focus."""
        return self.viewer.evaluate(f"(viewer) => ({question})(viewer.shadowRoot.activeElement)")

    def colours(self, *shares: float) -> list[tuple[int, ...]]:
        """Colours of the large picture at these shares of its width."""
        picture = self.picture()
        return [picture.getpixel((int(share * picture.width), picture.height // 4)) for share in shares]

    def picture(self) -> Image.Image:
        self.page.wait_for_function(
            "() => [...document.querySelector('rollout-viewer').shadowRoot.querySelectorAll('.stage img')]"
            ".every((image) => image.complete)"
        )
        whole = Image.open(io.BytesIO(self.stage.screenshot())).convert("RGB")
        return ImageOps.crop(whole, 2)  # its edge may share a pixel with the page


@pytest.fixture
def reader(chromium, report):
    made = Reader(chromium, report)
    yield made
    made.context.close()
    assert made.said == []
    assert all(url.startswith(("file:", "data:")) for url in made.asked)


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
