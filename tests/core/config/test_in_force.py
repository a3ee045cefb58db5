from types import SimpleNamespace

import numpy as np
import pytest

from core.config.in_force import notes_of
from core.config.presets import list_presets, resolve_config
from core.config.spec import option_specs
from core.rollout.offsets import block_and_source

ROLLOUT = {
    "scheduled_sampling_max_step_offset": 10,
    "scheduled_sampling_stride": 1,
    "scheduled_sampling_probability": 1.0,
    "scheduled_sampling_ramp_steps": 0,
    "scheduled_sampling_start_step": 0,
    "validation_num_inference_steps": 25,
    "max_train_steps": 300,
}


def notes(preset="demo", **changes):
    rollout = {f"scheduled_sampling_{name}": value for name, value in changes.items()}
    return {note.option: note.text for note in notes_of(resolve_config(preset, overrides={**ROLLOUT, **rollout}))}


def test_the_off_switch_silences_all_else():
    assert list(notes(max_step_offset=0).values()) == ["Rollout is off: max_step_offset is 0."]


@pytest.mark.parametrize("changes", [{"probability": 0.0}, {"ramp_steps": 9, "prob_start": 0.0, "prob_end": 0.0}])
def test_a_rollout_that_never_happens_is_said(changes):
    (text,) = notes(**changes).values()
    assert text.startswith("Nothing is ever rolled out: ")
    assert ("ramp never leaves 0" in text) == ("ramp_steps" in changes)


def test_a_start_after_the_end_is_said():
    assert "before step 300, and the run has 300" in notes(start_step=300)["scheduled_sampling_start_step"]
    assert "scheduled_sampling_start_step" not in notes(start_step=299)


def test_a_ramp_that_is_cut_short_is_said():
    assert "The ramp ends at step 301" in notes(start_step=1, ramp_steps=300)["scheduled_sampling_ramp_steps"]
    assert "scheduled_sampling_ramp_steps" not in notes(ramp_steps=300)


def test_how_little_a_stride_of_one_covers_is_said():
    text = notes()["scheduled_sampling_stride"]
    assert "10 of 1000 timesteps, 1 % of the path" in text
    assert "0.25 of a validation picture's 25 sampling steps" in text


def test_the_grid_of_stride_inference_and_who_stays_below_it_are_said():
    text = notes(stride="inference")["scheduled_sampling_stride"]
    assert "10 of the 25 steps of a validation picture" in text
    assert "below the grid's first point stay teacher-forced" in text


def test_who_stays_teacher_forced_is_said_where_it_is_exact():
    assert "1 in 11 stays teacher-forced" in notes()["scheduled_sampling_probability"]
    assert "scheduled_sampling_probability" not in notes(strategy="biased_late")


def test_visited_mode_says_what_is_trained_what_it_costs_and_what_is_paired():
    text = notes(mode="visited")["scheduled_sampling_mode"]
    assert "every state" in text
    assert "with no extra forwards." in text
    assert "Only timestep, picture and noise of each item's anchor are paired" in text
    assert "scheduled_sampling_mode" not in notes(mode="fresh")
    reflexed = notes("demo-flow", mode="visited")["scheduled_sampling_mode"]
    assert "with no other extra forwards than ReflexFlow's." in reflexed


@pytest.mark.parametrize(("longest", "share"), [(1, "75%"), (3, "52%")])
def test_visited_mode_says_how_much_stays_teacher_forced(longest, share):
    text = notes(mode="visited", max_step_offset=longest)["scheduled_sampling_probability"]
    assert "first, noisiest state of every rollout is teacher-forced" in text
    assert f"about {share} is therefore teacher-forced" in text
    assert "1 in" not in text


def test_the_share_that_visited_mode_keeps_teacher_forced_is_that_of_its_blocks():
    last, longest = 999, 3
    options = SimpleNamespace(stride=1, max_step_offset=longest)
    anchor = np.arange(last + 1)
    share = [
        (block_and_source(np.full(last + 1, k), np.full(last + 1, o), anchor, options, last)[0] + 1.0) ** -1
        for k in range(longest + 1)
        for o in range(k + 1)
        for _ in range(12 // (k + 1))
    ]
    assert np.mean(share) == pytest.approx(0.52, abs=0.005)


def test_visited_mode_of_another_strategy_makes_no_exact_claim():
    text = notes(mode="visited", strategy="biased_late")["scheduled_sampling_probability"]
    assert "noisiest state" in text
    assert "%" not in text


def test_what_the_posterior_target_pulls_towards_is_said():
    text = notes(target="posterior")["scheduled_sampling_target"]
    assert "pulls towards the training pictures" in text
    assert "scheduled_sampling_target" not in notes(target="anchored")


def test_guidance_inside_the_rollout_says_what_it_costs():
    assert (
        "at 2.5: each of their steps forwards an item twice"
        in notes(guidance_scale=2.5)["scheduled_sampling_guidance_scale"]
    )
    assert "scheduled_sampling_guidance_scale" not in notes(guidance_scale=1.0)


def test_a_probability_that_the_ramp_replaces_is_said():
    assert "1 is not used while ramp_steps" in notes(ramp_steps=10)["scheduled_sampling_probability"]


def test_reflexflow_that_switches_itself_on_is_said():
    assert "on by itself" in notes("flux", reflexflow=None)["scheduled_sampling_reflexflow"]
    assert "on as set" in notes("flux", reflexflow=True)["scheduled_sampling_reflexflow"]
    assert "on by itself" in notes("demo-flow")["scheduled_sampling_reflexflow"]
    assert "on as set" in notes("sd15", reflexflow=True)["scheduled_sampling_reflexflow"]
    for preset, setting in (("flux", False), ("demo-flow", False), ("demo", None)):
        assert "scheduled_sampling_reflexflow" not in notes(preset, reflexflow=setting)


def test_reflexflow_says_its_weights():
    weights = {"reflexflow_beta1": 5.0, "reflexflow_beta2": 0.5, "reflexflow_alpha": 2.0}
    text = notes("demo-flow", **weights)["scheduled_sampling_reflexflow"]
    assert "5 × its direction loss + 0.5 × its squared error, weighted with alpha 2." in text
    text = notes("demo-flow", reflexflow_beta1=0.0, reflexflow_beta2=0.0)["scheduled_sampling_reflexflow"]
    assert "a rolled item has no loss at all" in text


@pytest.mark.parametrize("name", list(list_presets()))
def test_notes_are_sentences_about_options(name):
    found = notes_of(list_presets()[name].config)
    assert found
    for note in found:
        assert note.option in option_specs()
        assert note.text.endswith(".")
