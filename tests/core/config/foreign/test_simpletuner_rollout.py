"""SimpleTuner's scheduled sampling: what each key does there and here."""

import json

import pytest

from core.config.fields import ROLLOUT_PREFIX
from core.config.foreign import import_text
from core.config.foreign.ramps import RampThere, course_here, ramp_rows, telling_steps
from core.config.foreign.simpletuner import write
from core.config.foreign.simpletuner_keys import SIMPLETUNER_KEYS
from core.config.foreign.simpletuner_rollout import ramp_there
from core.config.spec import option_specs

LEAST = {
    "model_family": "sd1x",
    "pretrained_model_name_or_path": "some/model",
    "instance_data_dir": "cats",
    "instance_prompt": "sks cat",
    "max_train_steps": 1000,
}
HERE_ALONE = {"stride", "mode", "target", "guidance_scale"}
"""Options of the rollout for which SimpleTuner has no key."""


def taken(family="sd1x", **keys):
    prefixed = {ROLLOUT_PREFIX + name: value for name, value in keys.items()}
    return import_text(json.dumps({**LEAST, "model_family": family, **prefixed}), "config.json", "simpletuner")


def finding(imported, field):
    (found,) = [row for row in imported.findings if row.key == ROLLOUT_PREFIX + field]
    return found


def test_every_rollout_option_but_our_own_has_a_key():
    ours = {spec.field for spec in option_specs().values() if spec.block == "scheduled_sampling"}
    theirs = {name.removeprefix(ROLLOUT_PREFIX) for name in SIMPLETUNER_KEYS if name.startswith(ROLLOUT_PREFIX)}
    assert ours - theirs == HERE_ALONE
    assert theirs <= ours


def test_a_start_of_zero_is_the_probability_there_and_zero_here():
    imported = taken(max_step_offset=10, probability=1.0, prob_start="0.0", prob_end=0.5, ramp_steps=100)
    row = finding(imported, "prob_start")
    assert row.standing == "differs"
    assert "becomes probability, 1" in row.words
    points = {row.step: row for row in imported.ramps(imported.config())}
    assert (points[0].there, points[0].here) == (1.0, 0.0)
    assert (points[50].there, points[50].here) == (0.75, 0.25)
    assert (points[1000].there, points[1000].here) == (0.5, 0.5)


def test_an_end_of_zero_is_the_probability_there_too():
    imported = taken(max_step_offset=10, probability=0.8, prob_start=0.4, prob_end=0, ramp_steps=100)
    assert finding(imported, "prob_end").standing == "differs"
    last = imported.ramps(imported.config())[-1]
    assert (last.there, last.here) == (0.8, 0.0)


def test_without_a_probability_both_ramps_are_one():
    imported = taken(max_step_offset=10, probability=0, prob_start=0, prob_end=0.7, ramp_steps=100, ramp_shape="cosine")
    assert finding(imported, "prob_start").standing == "mapped"
    rows = imported.ramps(imported.config())
    assert max(row.there for row in rows) == pytest.approx(0.7)
    assert all(row.there == pytest.approx(row.here) for row in rows)


def test_the_steps_before_the_start_are_the_ramps_first_value_there():
    imported = taken(max_step_offset=4, prob_start=0.3, prob_end=0.6, ramp_steps=10, start_step=20)
    assert finding(imported, "start_step").standing == "differs"
    points = {row.step: row for row in imported.ramps(imported.config())}
    assert (points[19].there, points[19].here) == (0.3, 0.0)
    assert points[20].there == points[20].here == 0.3


def test_without_a_ramp_the_start_is_not_read_there():
    imported = taken(max_step_offset=4, probability=0.5, start_step=20)
    assert finding(imported, "start_step").standing == "differs"
    points = {row.step: row for row in imported.ramps(imported.config())}
    assert (points[0].there, points[0].here) == (0.5, 0.0)


def test_offsets_are_single_timesteps_and_the_noises_own_target():
    imported = taken(max_step_offset="10", probability=1)
    assert finding(imported, "max_step_offset").standing == "differs"
    rollout = imported.config().scheduled_sampling
    assert (rollout.max_step_offset, rollout.stride, rollout.target, rollout.mode) == (10, 1, "original", "fresh")


@pytest.mark.parametrize("sampler", ["unipc", "euler", "dpm", "rk4"])
def test_flow_matching_does_not_ask_for_the_sampler_there(sampler):
    flow = taken("flux", max_step_offset=4, probability=1, sampler=sampler, order=3)
    assert finding(flow, "sampler").standing == finding(flow, "order").standing == "differs"
    assert flow.config().scheduled_sampling.sampler == sampler
    off = taken("flux", max_step_offset=0, sampler=sampler)
    assert finding(off, "sampler").standing == "mapped"


def test_reflexflow_on_another_kind_of_model_is_left_unset():
    assert taken(max_step_offset=4, probability=1, reflexflow="true").config().scheduled_sampling.reflexflow is None
    assert taken("sd3", max_step_offset=4, probability=1, reflexflow=1).config().scheduled_sampling.reflexflow is True
    assert taken("sd3", max_step_offset=4, reflexflow="false").config().scheduled_sampling.reflexflow is False
    assert taken("sd3", max_step_offset=4, probability=1).config().reflexflow_on


def test_reflexflows_weights_differ_for_flow_matching_alone():
    assert finding(taken("sd3", max_step_offset=4, reflexflow_alpha=2), "reflexflow_alpha").standing == "differs"
    assert finding(taken(max_step_offset=4, reflexflow_alpha=2), "reflexflow_alpha").standing == "mapped"


@pytest.mark.parametrize(
    "rollout",
    [
        {"probability": 1.0, "ramp_steps": 100, "prob_start": 0.0, "prob_end": 0.5},
        {"probability": 1.0, "ramp_steps": 100, "prob_start": 0.7, "prob_end": 0.0, "ramp_shape": "cosine"},
        {"probability": 0.25},
        {"probability": 0.0, "ramp_steps": 10, "start_step": 30},
    ],
)
def test_an_export_behaves_there_as_the_training_does_here(rollout):
    said = {"scheduled_sampling_probability": rollout["probability"]}  # a ramp does not read it here
    config = taken(max_step_offset=4, **rollout).completed(None, said).config()
    there = ramp_there(write(config, {}, {}).config)
    here = course_here(config.scheduled_sampling)
    assert [there.probability_at(step) for step in range(0, 200, 7)] == pytest.approx(
        [here(step) for step in range(0, 200, 7)]
    )


def test_no_rollout_has_no_ramp_to_show():
    assert taken(max_step_offset=0, probability=1).ramps(taken().config()) == ()


def test_the_steps_that_are_told_lie_within_the_training():
    there = RampThere(max_step_offset=3, ramp_steps=50, start_step=10**9)
    assert telling_steps(there, 100) == [0, 100]
    rolled = taken(max_step_offset=3, probability=1).config().scheduled_sampling
    assert [row.step for row in ramp_rows(there, rolled, 100)] == [0, 100]
