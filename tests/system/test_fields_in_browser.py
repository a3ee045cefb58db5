"""Every option's field: what is wrong is told in a sentence at that field, and goes away with what was wrong."""

import re

import pytest
from playwright.sync_api import expect

from app.form import to_input
from app.tabs import data
from core.config.flat import flatten
from core.config.presets import load_preset
from core.config.spec import OptionSpec, option_specs
from tests.support.browsing import open_folds, open_tab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 60_000
"""Milliseconds."""
TYPED = {name: spec for name, spec in option_specs().items() if spec.kind not in {"bool", "choice"}}
"""Options that are typed; the others are chosen from a list, which holds nothing wrong."""
PATHS = {"class_data_dir": "/etc", "accelerate_config_path": "/etc"}
"""Unset is fine for it, and what is wrong is where it leads."""
EMBEDDED = {"revision": "main", "variant": "fp16", "single_file_config": "/etc"}
"""Wrong beside an embedded base model alone."""
FREE = {"validation_prompts", "placebo_of"}
"""Every text is a prompt, and so is none; the run of a placebo is looked for when it is launched."""
ALONE = {"class_prompt": "", "aspect_ratio_buckets": "8", **PATHS, **EMBEDDED}
"""Wrong beside what the other fields hold: such problems are looked for once each field is right by itself."""
TOLD = """() => Object.fromEntries([...document.querySelectorAll('.rw-option[id^="opt-"]')]
  .map((field) => [field.id.slice(4), getComputedStyle(field, '::after')])
  .filter(([_, style]) => style.display === 'block')
  .map(([name, style]) => [name, JSON.parse(style.content)]))"""
"""Option to the sentence that is shown at its field."""
APART = 20
"""Milliseconds between two fields. For events of one and the same task of the browser Gradio asks once each, and the
questions may overtake each other; nobody types like that."""
FILL = """async ([texts, apart]) => {
  for (const [name, text] of Object.entries(texts)) {
    const input = document.querySelector(`#opt-${name} :is(input, textarea)`);
    input.focus();
    input.value = text;
    input.dispatchEvent(new InputEvent('input', { bubbles: true }));
    await new Promise((done) => setTimeout(done, apart));
  }
}"""
DESCRIBED = """(told) => Object.entries(told).every(([name, sentence]) => {
  const input = document.querySelector(`#opt-${name} :is(input, textarea)`);
  const [first] = input.getAttribute('aria-describedby').split(' ');
  return input.getAttribute('aria-invalid') === 'true' && document.getElementById(first)?.textContent === sentence;
})"""
"""Whether each option's input says of itself that it is invalid, and why as its first description."""


def open_page(page, served) -> None:
    """Opens Configure, and waits until it holds the preset and shows what that means."""
    page.goto(f"{served.url}?tab=configure")
    expect(page.locator("#rollout-previews svg").first).to_be_visible()


def out_of_range(spec: OptionSpec) -> str:
    """Something that this option does not take; a blank where it takes any text."""
    bounds = spec.bounds
    if spec.kind in {"text", "texts"}:
        return "  "
    if spec.kind == "int_or_choice":
        return "often"
    if bounds.minimum:
        return str(bounds.minimum - (bounds.multiple_of or 1))
    if bounds.maximum is not None:
        return str(bounds.maximum + 1)
    return str(bounds.below)


def fill(page, texts: dict[str, str]) -> None:
    """Fills fields as a paste does: each its text and one event."""
    page.evaluate(FILL, [texts, APART])


def held(page, name: str) -> str:
    return page.locator(f"#opt-{name}").locator("input, textarea").input_value()


def see_told(page, names) -> dict[str, str]:
    """Waits until just these options have a sentence at their field."""
    wanted = sorted(names)
    page.wait_for_function(
        f"(wanted) => JSON.stringify(Object.keys(({TOLD})()).sort()) === wanted",
        arg=str(wanted).replace("'", '"').replace(", ", ","),
        timeout=PATIENCE,
    )
    return page.evaluate(TOLD)


def check_round(page, wrong: dict[str, str], right: dict[str, str]) -> None:
    """Types what is wrong into all of these fields, then what is right."""
    fill(page, wrong)
    told = see_told(page, wrong)
    assert all(re.match(rf"{name} must .+, got ", sentence) for name, sentence in told.items()), told
    page.wait_for_function(DESCRIBED, arg=told, timeout=PATIENCE)
    fill(page, {name: right[name] for name in wrong})
    see_told(page, [])
    assert {name: held(page, name) for name in wrong} == {name: right[name] for name in wrong}


def test_every_field_tells_what_is_wrong_with_it_and_stops_when_it_is_right(served, watched):
    page = watched.page
    served.wait()
    open_page(page, served)
    flat = flatten(load_preset("demo").config)
    right = {name: shown(to_input(spec, flat[name])) for name, spec in TYPED.items()}
    for title in ("Configure", "Data"):
        open_tab(page, title)
        open_folds(page, title)
        here = [name for name in TYPED if (name in data.HERE) == (title == "Data")]
        together = [name for name in here if name not in {*ALONE, *FREE}]
        mine = "rank" if title == "Configure" else "num_class_images"
        fill(page, {mine: right[mine] + "0"})
        check_round(page, {name: out_of_range(TYPED[name]) for name in together if name != mine}, right)
        emptied = [name for name in together if name != mine and not TYPED[name].nullable]
        check_round(page, dict.fromkeys(emptied, ""), right)
        for name in here:
            if name in ALONE:
                check_round(page, {name: ALONE[name]}, right)
        assert held(page, mine) == right[mine] + "0"


def test_text_that_is_pasted_or_deleted_counts_like_text_that_is_typed(served, watched):
    page = watched.page
    served.wait()
    open_page(page, served)
    open_tab(page, "Configure")
    open_folds(page, "Configure")
    field = page.locator("#opt-revision input")
    field.focus()
    page.keyboard.insert_text("ma")  # one event and no key, as a paste
    see_told(page, ["revision"])
    for _ in "ma":
        page.keyboard.press("Backspace")
    see_told(page, [])
    field.press_sequentially("main")
    see_told(page, ["revision"])


def test_every_typed_option_has_a_wrong_value_here():
    """So that a new option is not left out of the test above."""
    for name, spec in TYPED.items():
        assert name in {*ALONE, *FREE} or out_of_range(spec) is not None
    assert set(ALONE) | FREE <= set(TYPED)


def shown(value: object) -> str:
    """What a number field makes of a value."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:g}"
    return str(value)
