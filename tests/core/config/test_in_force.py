import pytest

from core.config.in_force import notes_of
from core.config.presets import list_presets, resolve_config
from core.config.spec import option_specs

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
    rollout = {f"scheduled_sampling_{name}": value for name, value in changes.items() if name != "family"}
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
    assert "10 of the 25 steps" in notes(stride="inference")["scheduled_sampling_stride"]


def test_who_stays_teacher_forced_is_said_where_it_is_exact():
    assert "1 in 11 stays teacher-forced" in notes()["scheduled_sampling_probability"]
    assert "scheduled_sampling_probability" not in notes(strategy="biased_late")


def test_a_probability_that_the_ramp_replaces_is_said():
    assert "1 is not used while ramp_steps" in notes(ramp_steps=10)["scheduled_sampling_probability"]


def test_reflexflow_that_switches_itself_on_is_said():
    assert "on by itself" in notes("flux", reflexflow=None)["scheduled_sampling_reflexflow"]
    assert "on as set" in notes("flux", reflexflow=True)["scheduled_sampling_reflexflow"]
    assert "scheduled_sampling_reflexflow" not in notes("flux", reflexflow=False)


@pytest.mark.parametrize("name", list(list_presets()))
def test_notes_are_sentences_about_options(name):
    found = notes_of(list_presets()[name].config)
    assert found
    for note in found:
        assert note.option in option_specs()
        assert note.text.endswith(".")
