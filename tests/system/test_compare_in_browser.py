"""Compare in a real browser, over a fabricated experiment of three training seeds."""

import re
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from core.config.presets import load_preset
from core.runs.votes import read_votes
from core.runs.workspace import Workspace
from tests.support.fabricated import changed, make_experiment, write_sample

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CAT, DOG = "a cat", "a dog"


@pytest.fixture(scope="module", autouse=True)
def patience():
    """A dozen plots that are drawn for the first time take long where the machine is busy."""
    expect.set_options(timeout=60_000)
    yield
    expect.set_options(timeout=5_000)


@pytest.fixture(scope="module")
def experiment(served):
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    config = changed(load_preset("demo").config, max_train_steps=30, validation_prompts=(CAT, DOG))
    made = make_experiment(workspace, config=config, seeds=3)
    served.wait()
    return made


@pytest.fixture
def page(served, experiment, watched):
    """The tab, opened and filled."""
    watched.page.goto(served.url + "?run=experiments/orange-cat&tab=compare")
    expect(watched.page.locator("#curves svg").first).to_be_visible()
    return watched.page


def test_the_verdict_stands_on_top_and_no_table_or_plot_is_empty(page):
    expect(page.locator("#verdict strong").first).to_have_text(re.compile("^Exploratory, from 3 training seeds"))
    rows = page.locator("#scores-table tbody tr")
    expect(rows.first).to_contain_text("V at the end of the chain")
    expect(rows.first.locator("td")).to_have_count(2)
    expect(rows.first.locator("td").nth(1)).to_contain_text("beside the reference")
    expect(page.locator("#costs tbody tr").first).to_contain_text("Teacher-forced")
    expect(page.locator("#frontiers svg")).to_have_count(3)
    expect(page.locator("#sweeps")).to_contain_text("python -m core score orange-cat")
    expect(page.locator("#config-difference tbody tr")).to_have_count(1)


def test_the_viewer_is_walked_by_keyboard_and_keeps_its_place_when_pictures_come(page, experiment):
    viewer, where = page.locator("rollout-viewer"), page.locator("rollout-viewer [role=status]")
    expect(where).to_have_text(f"{CAT}: step 30, sample seed 42, training seed 42")
    picture = viewer.locator(".stage img").first
    page.wait_for_function("(image) => image.naturalWidth === 64", arg=picture.element_handle())
    viewer.locator("section").focus()
    for key, told in (("ArrowDown", DOG), (".", "training seed 43"), ("ArrowLeft", "step 0")):
        page.keyboard.press(key)
        expect(where).to_contain_text(told)
    for key, mode in (("2", "Side by side"), ("3", "Flicker"), ("4", "Difference"), ("1", "Slider")):
        page.keyboard.press(key)
        expect(viewer.get_by_role("button", name=mode, exact=True)).to_have_attribute("aria-pressed", "true")
    handle = viewer.get_by_role("slider", name="Divider on the picture")
    handle.focus()
    page.keyboard.press("ArrowLeft")
    expect(handle).to_have_attribute("aria-valuenow", "48")
    write_sample(experiment.arms[0].run, 40)
    expect(viewer.locator("select[data-name=step]")).to_contain_text("40")
    expect(where).to_have_text(f"{DOG}: step 0, sample seed 42, training seed 43")


def test_equal_compute_and_other_axes_redraw_what_they_are_about(page):
    page.get_by_role("radio", name="Equal compute").check()
    expect(page.locator("#scores")).to_contain_text("within the compute that the rollout had spent")
    page.get_by_role("radio", name="Equal steps").check()
    expect(page.locator("#scores")).to_contain_text("Compared at step 30.")
    for name, label in (("Forward equivalents", "forward equivalents (items)"), ("Seconds", "training time (s)")):
        page.get_by_role("radio", name=name).check()
        expect(page.locator("#curves svg").first).to_contain_text(label)
    expect(page.locator("#verdict strong").first).to_contain_text("Exploratory")


def test_three_votes_are_cast_blindly_by_button_and_key_and_then_counted(page, experiment):
    path = experiment.path / "votes.jsonl"
    page.locator("#vote-begin").click()
    pictures = page.locator("#vote-pair img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        assert picture.get_attribute("src").startswith("data:image/png;base64,")
    page.locator("#vote-left").click()
    expect(page.locator("#vote-message")).to_contain_text("1 vote so far")
    for number, key in ((2, "k"), (3, "L")):
        page.locator("#vote-left").focus()
        page.keyboard.press(key)
        expect(page.locator("#vote-message")).to_contain_text(f"{number} votes so far")
    expect(page.locator("#vote-tally")).to_be_empty()
    votes = read_votes(path)
    assert [vote.choice for vote in votes] == ["left", "neither", "right"]
    assert all({vote.left, vote.right} == {"teacher-forced", "rollout"} for vote in votes)
    assert len({(vote.seed, vote.prompt) for vote in votes}) == 3
    page.locator("#vote-count").click()
    expect(page.locator("#vote-tally")).to_contain_text("can't tell: 1")
    page.locator("#verdict").click()
    page.keyboard.press("j")
    page.wait_for_timeout(500)
    assert len(read_votes(path)) == 3


def test_the_report_comes_as_a_zip_that_opens_from_the_disk(page, chromium, tmp_path):
    page.locator("#make-report").click()
    expect(page.locator("#exported")).to_contain_text("index.html opens without a server", timeout=240_000)
    with page.expect_download() as download:
        page.locator("#report").click()
    download.value.save_as(tmp_path / "report.zip")
    with zipfile.ZipFile(tmp_path / "report.zip") as packed:
        packed.extractall(tmp_path)
    context = chromium.new_context()
    report, asked, said = context.new_page(), [], []
    report.on("request", lambda request: asked.append(request.url))
    report.on("pageerror", lambda error: said.append(str(error)))
    report.goto((tmp_path / "orange-cat" / "index.html").as_uri())
    expect(report.locator("body")).to_contain_text("Exploratory, from 3 training seeds")
    picture = report.locator("rollout-viewer .stage img").first
    report.wait_for_function("(image) => image.naturalWidth === 64", arg=picture.element_handle())
    context.close()
    assert said == []
    assert all(url.startswith(("file:", "data:")) for url in asked)


def test_the_sheet_comes_as_a_picture(page, tmp_path):
    page.locator("#make-sheet").click()
    expect(page.locator("#exported")).to_contain_text("6 trainings at step 30")
    with page.expect_download() as download:
        page.locator("#sheet").click()
    download.value.save_as(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > 6 * 128


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_both_pictures_of_a_vote_and_never_scrolls_sideways(served, experiment, chromium, scheme):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="en-US")
    page = context.new_page()
    page.goto(served.url + "?run=experiments/orange-cat&tab=compare")
    expect(page.locator("#curves svg").first).to_be_visible()
    page.locator("#vote-begin").click()
    expect(page.locator("#vote-pair img")).to_have_count(2)
    tops = [picture.bounding_box()["y"] for picture in page.locator("#vote-pair img").all()]
    assert tops[0] == tops[1]
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
