"""Inspect in a real browser: a real inspection of the embedded base, and fabricated ones to look around in."""

import json
import re

import pytest
from playwright.sync_api import expect

from core.runs.workspace import Workspace
from tests.support.fabricated import make_experiment
from tests.support.inspections import inspected, write_safetensors

pytestmark = pytest.mark.browser

LOADING = 60_000
"""Milliseconds until a busy machine has drawn all plots."""
SERVED = 20_000
"""Milliseconds for what the server answers."""
SHORT = {"validation_num_inference_steps": 4, "drift_pairs": 2, "drift_samples": 2}


@pytest.fixture(scope="module")
def filled(served):
    """An experiment whose rollout arm has a LoRA and was inspected."""
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    run = make_experiment(workspace).arms[1].run
    run.adapter_dir.mkdir()
    write_safetensors(run.adapter_dir / "pytorch_lora_weights.safetensors")
    inspected(workspace, run)
    return served.wait()


def open_inspect(page, served):
    page.goto(served.url + "?tab=inspect")
    expect(page.locator("#inspect-shown input")).not_to_have_value("", timeout=LOADING)
    expect(page.locator("#inspect-short svg")).not_to_have_count(0, timeout=LOADING)


def test_an_inspection_of_a_training_shows_everything_it_found(filled, watched):
    page = watched.page
    open_inspect(page, filled)
    expect(page.locator("#inspect-run input")).to_have_value("Orange cat: rollout")
    expect(page.locator("#inspect-summary h3")).to_have_text("Training orange-cat/rollout")
    expect(page.locator("#inspect-audit")).to_contain_text("kohya keys")
    expect(page.locator("#inspect-training svg[role=img]")).to_have_count(1)
    expect(page.locator("#inspect-short svg[role=img]")).to_have_count(6)
    expect(page.locator("#inspect-free svg[role=img]")).to_have_count(1)
    expect(page.locator("#inspect-samples tbody tr")).not_to_have_count(0)
    picture = page.locator("#inspect-film img").first
    picture.scroll_into_view_if_needed()
    page.wait_for_function("(image) => image.naturalWidth === 64", arg=picture.element_handle())
    folder = filled.workspace / "experiments" / "orange-cat" / "rollout" / "inspection"
    for name, status in (("pictures/base-own-0-0.png", 200), ("inspection.json", 403), ("log.txt", 403)):
        assert page.request.get(f"{filled.url}gradio_api/file={folder}/{name}").status == status, name


def test_pair_and_film_are_reached_and_moved_by_keyboard(filled, watched):
    page = watched.page
    open_inspect(page, filled)
    pair = page.locator("#inspect-pair input")
    pair.focus()
    pair.press("ArrowDown")
    expect(pair).to_have_attribute("aria-activedescendant", re.compile("option-1$"))
    pair.press("Enter")
    expect(pair).to_have_value("Pair 2")
    expect(page.locator("#inspect-film img[alt^='With the LoRA, pair 2']")).to_have_count(6, timeout=SERVED)
    page.set_viewport_size({"width": 390, "height": 844})
    strip = page.locator("#inspect-film [role=region]").first
    strip.focus()
    page.wait_for_function("(strip) => strip.scrollWidth > strip.clientWidth", arg=strip.element_handle())
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("(strip) => strip.scrollLeft > 0", arg=strip.element_handle())


def test_the_kind_is_chosen_by_keyboard_and_shows_its_inputs(filled, watched):
    page = watched.page
    open_inspect(page, filled)
    kinds = page.locator("#inspect-kind input[type=radio]")
    expect(kinds.last).to_have_attribute("name", "inspect-kind")  # one group, which arrow keys walk
    expect(page.locator("#inspect-path")).to_be_hidden()
    kinds.first.press("ArrowRight")
    expect(page.locator("#inspect-run")).to_be_hidden(timeout=SERVED)
    expect(kinds.nth(1)).to_be_checked()
    kinds.nth(1).press("ArrowRight")
    expect(page.locator("#inspect-path")).to_be_visible(timeout=SERVED)
    page.locator("#inspect-path textarea, #inspect-path input").fill(str(filled.workspace / "my.ckpt"))
    page.locator("#inspect-start").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#inspect-message")).to_contain_text("a pickle can run code", timeout=SERVED)


def test_an_uploaded_lora_is_copied_and_ready_to_inspect(filled, watched, tmp_path):
    page = watched.page
    open_inspect(page, filled)
    page.locator("#inspect-kind label", has_text="A LoRA file").click()
    expect(page.locator("#inspect-upload")).to_be_visible(timeout=SERVED)
    with page.expect_file_chooser() as chooser:
        page.locator("#inspect-upload").click()
    chooser.value.set_files(write_safetensors(tmp_path / "Her LoRA.safetensors"))
    kept = filled.workspace / "uploads" / "her-lora.safetensors"
    expect(page.locator("#inspect-path textarea, #inspect-path input")).to_have_value(str(kept), timeout=SERVED)
    assert kept.is_file()


@pytest.mark.slow
def test_the_base_model_is_really_inspected_before_any_training(filled, watched, tmp_path):
    page = watched.page
    open_inspect(page, filled)
    shorten(page, tmp_path)
    page.get_by_role("tab", name="Inspect", exact=True).click()
    page.locator("#inspect-kind label", has_text="The base model").click()
    page.locator("#inspect-start").click()
    expect(page.locator("#inspect-state progress")).to_be_visible(timeout=LOADING)
    expect(page.locator("#inspect-stop")).to_be_visible()
    expect(page.locator("#inspect-summary h3")).to_have_text("Base model", timeout=100_000)
    expect(page.locator("#inspect-state")).to_be_empty()
    expect(page.locator("#inspect-summary")).to_contain_text("2 finished samples, 4 inference steps")
    expect(page.locator("#inspect-short tbody tr").first).to_contain_text(re.compile(r"Paired drift M1.*\d\.\d+"))
    expect(page.locator("#inspect-film section")).to_have_count(1)
    expect(page.locator("#inspect-audit")).to_be_empty()
    expect(page.locator("#inspect-start")).to_have_text(re.compile(r"Inspect \(about .* s\)"), timeout=LOADING)
    found = json.loads((filled.workspace / "inspections" / "base-embedded" / "inspection.json").read_text())
    assert (found["what"], found["adapter"], found["base_model"]) == ("base", None, "embedded")


def shorten(page, tmp_path):
    """Makes the inspection short, through the page."""
    (tmp_path / "short.json").write_text(json.dumps(SHORT))
    page.get_by_role("tab", name="Configure", exact=True).click()
    page.get_by_role("button", name="As text: config").click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import a file").click()
    chooser.value.set_files(tmp_path / "short.json")
    expect(page.locator("#text-message")).to_contain_text("The form holds this config now", timeout=SERVED)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways_and_the_strips_keep_to_the_theme(filled, chromium, scheme):
    context = chromium.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="en-US")
    page = context.new_page()
    open_inspect(page, filled)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    head = page.locator(".rw-film tbody th").first
    colour = head.evaluate("(cell) => getComputedStyle(cell).backgroundColor")
    assert colour == page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in re.findall(r"\d+", colour)[:3])
    assert (brightness < 200) == (scheme == "dark")
    context.close()
