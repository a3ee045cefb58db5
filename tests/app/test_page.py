"""The whole page without a browser: it builds, its parts follow the files, and it stays light."""

import json
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest

from app.design import TWO_ARMS, Design
from app.form import values_of
from app.html import chip, table
from app.page import restore
from app.selection import Selection
from app.tabs import TABS, configure, data, launch
from app.theme import STYLE_SHEET
from core.config.spec import option_specs
from core.plots.figure import CSS_VARIABLES
from tests.support.fabricated import changed, look_at, make_experiment

SPECS = list(option_specs())


def test_the_tabs_stand_in_the_order_of_the_work():
    titles = ["Home", "Data", "Configure", "Launch", "Monitor", "Compare", "Inspect", "Export"]
    assert [tab.title for tab in TABS] == titles


def test_every_option_has_exactly_one_input(parts):
    assert len(parts.options) == len(SPECS)
    assert len({component._id for component in parts.options}) == len(SPECS)


def test_at_most_twelve_fields_are_shown_first():
    specs = option_specs().values()
    assert sum(spec.basic for spec in specs if spec.block != "scheduled_sampling") <= 12


def test_no_part_of_the_page_keeps_state_on_the_server(page):
    kinds = {type(block).__name__ for block in page.blocks.values()}
    assert "State" not in kinds
    assert "Render" not in kinds


def test_every_event_is_private_so_that_no_api_is_published_by_accident(page):
    assert {function.api_visibility for function in page.fns.values()} == {"private"}


def test_what_is_chosen_while_an_event_is_under_way_is_not_lost(page):
    chosen = [
        function
        for function in page.fns.values()
        if function.fn is not None and {event for _, event in function.targets} & {"input", "select", "change", "then"}
    ]
    assert len(chosen) > 20
    for function in chosen:
        buttons = {event for _, event in function.targets} <= {"click", "then"} and function.show_progress != "hidden"
        assert function.trigger_mode == ("once" if buttons else "always_last"), function.targets
        assert function.queue is False or function.concurrency_limit == (4 if buttons else 1)


def test_an_empty_workspace_says_something_on_every_tab(parts):
    for view, slot in (("home", "home.list"), ("monitor", "monitor.status"), ("compare", "compare.verdict")):
        outputs, _ = look_at(parts, view)
        assert "rw-empty" in outputs[slot]
    assert "Nothing is training" in look_at(parts, "home")[0]["strip"]


def test_what_has_not_changed_is_not_sent_again(parts, experiment):
    for view in ("home", "monitor", "compare"):
        chosen = {"selection": "experiments/orange-cat", "compare.pick": ["experiments/orange-cat"]}
        outputs, seen = look_at(parts, view, **chosen)
        assert len(outputs) > 2
        assert look_at(parts, view, seen, **chosen) == ({}, seen)


def test_nothing_is_looked_at_for_a_tab_that_nobody_sees(parts, experiment):
    assert look_at(parts, "hidden", selection="experiments/orange-cat") == ({}, "")
    outputs, _ = look_at(parts, "configure", selection="experiments/orange-cat")
    assert set(outputs) == {"strip", "pause", "continue", "stop", "kill", "active"}


@pytest.mark.parametrize("seen", ["nonsense", "[]", "7", '{"strip": 3}', None])
def test_signatures_from_the_browser_are_not_trusted(parts, seen):
    outputs, _ = look_at(parts, "home", seen)
    assert "home.list" in outputs


def test_a_reload_restores_run_tab_and_draft(parts, experiment, demo):
    config = changed(demo, rank=3)
    draft = json.dumps({"preset": "demo", "imported": "kept", "values": values_of(config)})
    *values, preset, imported, selection, tab = restore(
        parts, draft, "", {"run": "experiments/orange-cat", "tab": "compare"}
    )
    assert values == json.loads(draft)["values"]
    assert (preset, imported, selection) == ("demo", "kept", "experiments/orange-cat")
    assert tab.selected == "compare"


@pytest.mark.parametrize(
    "draft", [None, "x", "{}", '{"preset": "gone", "values": []}', '{"preset": "demo", "values": [1]}', "[]"]
)
def test_a_draft_that_does_not_fit_gives_the_demo(parts, demo, draft):
    *values, preset, imported, selection, _ = restore(parts, draft, "../../etc", {"run": "runs/../x", "tab": "evil"})
    assert values == values_of(demo)
    assert (preset, imported, selection) == ("demo", "", "")


def test_a_preview_shows_cost_sentences_curves_and_what_differs(parts, demo):
    raw = values_of(changed(demo, scheduled_sampling_sampler="euler"))
    problems, _, cost, force, charts, difference, command, text, file = configure.preview(parts, "demo", raw)
    assert problems == ""
    assert "of plain training" in cost
    assert "1 in 4" in force
    assert charts.count("<svg") == 4
    assert "Sampler" in difference
    assert "euler" in difference
    assert "scheduled_sampling_sampler=euler" in command
    assert json.loads(text) == json.loads(Path(file.value["path"]).read_text())


def test_a_preview_of_problems_marks_the_fields_and_leaves_the_rest(parts, demo):
    raw = values_of(demo)
    raw[SPECS.index("scheduled_sampling_probability")] = 1.5
    problems, *others = configure.preview(parts, "demo", raw)
    assert "#opt-scheduled_sampling_probability::after" in problems
    assert all(other == gr.skip() for other in others)


def test_prompts_follow_a_new_instance_prompt_until_somebody_writes_their_own(parts, demo):
    of_class, samples = demo.data.class_prompt, "\n".join(demo.validation.validation_prompts)
    monkey = demo.data.instance_prompt.replace("cat", "monkey")
    new_class, new_samples, followed, note = data.follow_prompt(parts, "demo", "", monkey, of_class, samples)
    assert "monkey" in new_class
    assert "sks" not in new_class
    assert "sks monkey" in new_samples
    assert "follow" in note
    fox = demo.data.instance_prompt.replace("cat", "fox")
    again, *_ = data.follow_prompt(parts, "demo", followed, fox, new_class, new_samples)
    assert "fox" in again
    own = data.follow_prompt(parts, "demo", followed, fox, new_class, "my own prompt")
    assert all(value == gr.skip() for value in own)


def test_a_start_with_problems_stays_and_says_so_at_the_fields_and_the_button(parts, demo):
    raw = values_of(demo)
    raw[SPECS.index("rank")] = 0
    selection, tab, message, own, problems = launch.start(parts, TWO_ARMS, "", "demo", raw)
    assert selection == tab == gr.skip()
    assert "rank" in message
    assert message == own
    assert "#opt-rank::after" in problems


def test_a_start_shows_the_monitor(parts, demo, monkeypatch):
    monkeypatch.setattr(parts.workbench, "start", lambda *given, **more: Selection("experiments", "demo-ab"))
    selection, tab, *_ = launch.start(parts, Design("ab", ("too-long",)), " ", "demo", values_of(demo))
    assert selection == "experiments/demo-ab"
    assert tab.selected == "monitor"


def test_launch_lists_what_differs_between_three_arms(parts, demo):
    *_, forecast, arms = launch.review(parts, Design("ab", ("too-long",)), "demo", values_of(demo))
    assert forecast.count("<dt>") == 3
    assert "too-long" in arms
    assert "125" in arms


def test_names_of_people_are_escaped_in_lists_and_cards(parts, workspace):
    make_experiment(workspace, "<img src=x onerror=alert(1)>")
    for view, slot in (("home", "home.list"), ("monitor", "strip")):
        assert "<img src=x" not in look_at(parts, view)[0][slot]
    assert "<img" not in table(["a"], [["<img>"]], "<img>")
    assert "<b>" not in chip("<b>")


def test_every_colour_of_the_plots_has_a_light_and_a_dark_value_on_the_page():
    style = STYLE_SHEET.read_text()
    light, dark = style.split(".dark {")[0], style.split(".dark {")[1].split("}")[0]
    for name in CSS_VARIABLES.values():
        assert f"--{name}:" in light
        assert f"--{name}:" in dark


def test_the_page_respects_reduced_motion_and_shows_the_focus():
    style = STYLE_SHEET.read_text()
    assert "prefers-reduced-motion" in style
    assert ":focus-visible" in style


LIGHT = """
import sys
from pathlib import Path
from tests.support.fabricated import make_experiment
from tests.support.inspections import inspected
from app.page import assemble, tick
from app.design import Design
from app.form import values_of
from app.tabs import configure, data, launch
from app.workbench import Workbench
from core.config.presets import load_preset
from core.runs.workspace import Workspace
workspace = Workspace(Path(sys.argv[1])); workspace.check_writable(); make_experiment(workspace); inspected(workspace)
_, parts = assemble(Workbench(workspace))
raw = values_of(load_preset("demo").config)
configure.preview(parts, "demo", raw); launch.review(parts, Design("ab", ("too-long",)), "demo", raw)
data.show_listing(parts.workbench.paths, raw[list(parts.inputs).index("instance_data_dir")], "x", 64)
given = {"selection": "experiments/orange-cat", "compare.pick": ["experiments/orange-cat"]}
names = {component._id: name for name, component in parts.slots.items()}
for tab in ("home", "monitor", "compare", "inspect", "export"):
    inputs = [given.get(names[component._id]) for live in parts.lives for component in live.inputs]
    assert isinstance(tick(parts, [tab, "", *inputs]), list)
print(sorted({"torch", "diffusers", "transformers", "peft", "accelerate"} & set(sys.modules)))
"""


def test_building_the_page_and_showing_every_tab_imports_no_model_library(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tmp_path / "workspace")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
