"""Whatever a file or a form puts into the options, it is a configuration that can be drawn from, or sentences."""

import math
import re
from types import SimpleNamespace

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import TEXT, repeatable, valid_values
from tiny_checkpoint import KINDS, noise_schedulers

from core.config.base_model import flow_matching_known, last_timestep
from core.config.flat import IMPORTED, flatten, nest, parse_config
from core.config.run import RunConfig
from core.config.spec import OptionSpec, option_specs
from core.config.supported import check_supported
from core.data.latents import LatentSet
from core.errors import ConfigError, printable
from core.noise.grid import inference_grid
from core.noise.schedule import NoiseSchedule
from core.rollout.ramp import probability_at
from core.training.batches import BatchStream, Position, Source

SPECS = option_specs()
ROLLOUT = [name for name, spec in SPECS.items() if spec.block == "scheduled_sampling"]
BESIDE = (
    "family", "snr_gamma", "lora_dropout", "validation_num_inference_steps", "with_prior_preservation",
    "input_perturbation", "placebo_of", "train_text_encoder", "text_encoder_lr",
)  # fmt: skip
"""What rollout options have to agree with, the base model apart, and what those have to agree with."""
REQUIRED = {"instance_data_dir": "pictures", "instance_prompt": "a photo of sks dog"}
MODELS = st.sampled_from(["embedded", "embedded-flow", "some/model"])
LONGEST, STRIDE = "scheduled_sampling_max_step_offset", "scheduled_sampling_stride"
SENTENCE = re.compile(r"[a-z_0-9]+( × [a-z_0-9]+)? must [^\n]+")


@st.composite
def rollouts(draw):
    """Valid values of any of the options that rollouts depend on; half of the time K fits the stride."""
    names = draw(st.sets(st.sampled_from([*ROLLOUT, *BESIDE])))
    values = {name: draw(valid_values(SPECS[name])) for name in sorted(names)}
    if draw(st.booleans()):
        stride = draw(st.just("inference") | st.integers(1, 1000))
        values |= {STRIDE: stride, LONGEST: draw(st.integers(0, 30 if stride == "inference" else 1000 // stride))}
    return REQUIRED | {"pretrained_model_name_or_path": draw(MODELS)} | values


def problems(values):
    """What is wrong with flat values; each is one sentence about an option. Empty if they make a configuration."""
    try:
        parse_config(values)
    except ConfigError as error:
        for problem in error.problems:
            assert problem.option in SPECS
            assert problem.message.startswith(problem.option)
            assert SENTENCE.fullmatch(problem.message)
            assert "Error" not in problem.message
        return list(error.problems)
    return []


def contradictions(values):
    """The options that valid values are refused for: what the help texts say, once more."""
    given = {name: spec.default for name, spec in SPECS.items()} | values
    rollout = SimpleNamespace(**{SPECS[name].field: given[name] for name in ROLLOUT})
    model = given["family"], given["pretrained_model_name_or_path"]
    on, flow = rollout.max_step_offset > 0, flow_matching_known(*model)
    visited, on_grid = on and rollout.mode == "visited", rollout.stride == "inference"
    one_forward = visited or given["family"] == "flux"
    longest = given["validation_num_inference_steps"] if on_grid else last_timestep(*model) // rollout.stride
    wrong = {
        LONGEST: rollout.max_step_offset > longest,
        "scheduled_sampling_sampler": visited and rollout.sampler == "rk4",
        "scheduled_sampling_guidance_scale": on and one_forward and rollout.guidance_scale > 1,
        "lora_dropout": (visited or given["train_text_encoder"]) and given["lora_dropout"] > 0,
        "text_encoder_lr": given["text_encoder_lr"] is not None and not given["train_text_encoder"],
        "scheduled_sampling_reflexflow": on and rollout.reflexflow is True and flow is False,
        "snr_gamma": given["snr_gamma"] is not None and flow is True,
        "class_prompt": given["with_prior_preservation"],
        "input_perturbation": on and given["input_perturbation"] > 0,
        "placebo_of": given["placebo_of"] is not None and (not on or visited),
    }
    return {name for name, is_wrong in wrong.items() if is_wrong}


@repeatable(400)
@given(rollouts())
def test_valid_options_make_a_configuration_unless_they_contradict_each_other(values):
    found = problems(values)
    assert {problem.option for problem in found} == contradictions(values)
    if not found:
        config = parse_config(values)
        assert flatten(config).items() >= values.items()
        for again in (flatten(config), nest(flatten(config)), config.model_dump()):
            assert parse_config(again) == config


NUMBERS = st.integers() | st.floats() | st.sampled_from([2**70, -(2**70), math.nan, math.inf, -math.inf])
WORDS = st.text(max_size=12) | st.sampled_from(["true", "false", "none", "0", "1", "0.5", "nan", "inf", "inference "])
LISTS = st.lists(st.integers() | st.text(max_size=3), max_size=3) | st.tuples(st.integers())
TABLES = st.dictionaries(st.text(max_size=3), st.integers(), max_size=2)
ANYTHING = NUMBERS | WORDS | LISTS | TABLES | st.none() | st.booleans() | st.binary(max_size=3)


def accepted(spec: OptionSpec, value) -> bool:
    """Whether an option takes a value by itself, told from its kind and bounds alone."""
    if value is None:
        return spec.nullable
    if spec.kind == "bool":
        return isinstance(value, bool)
    if spec.kind in ("choice", "int_or_choice") and isinstance(value, str):
        return value in spec.choices
    if spec.kind not in ("int", "float", "int_or_choice") or isinstance(value, bool):
        return False
    if not isinstance(value, int | float if spec.kind == "float" else int):
        return False
    bounds = spec.bounds
    return (
        (bounds.minimum is None or value >= bounds.minimum) and (bounds.maximum is None or value <= bounds.maximum)
        and (bounds.above is None or value > bounds.above) and (bounds.below is None or value < bounds.below)
    )  # fmt: skip


@st.composite
def refused(draw, names=tuple(ROLLOUT)):
    """An option of the rollout, and a value that it does not take."""
    name = draw(st.sampled_from(names))
    return name, draw(ANYTHING.filter(lambda value: not accepted(SPECS[name], value)))


def base():
    return REQUIRED | {"pretrained_model_name_or_path": "embedded"}


@repeatable(600)
@given(refused(), st.booleans())
def test_a_value_that_an_option_does_not_take_is_refused_by_its_name(pair, inside_block):
    name, value = pair
    block = {"scheduled_sampling": {SPECS[name].field: value}}
    (problem,) = problems(base() | (block if inside_block else {name: value}))
    assert problem.option == name
    assert problem.message.startswith(f"{name} must be ")
    assert len(problem.message) < 400


@repeatable(300)
@given(st.sampled_from(ROLLOUT), ANYTHING)
def test_anything_is_taken_or_refused(name, value):
    assert bool(problems(base() | {name: value})) != accepted(SPECS[name], value)


@repeatable(200)
@given(st.lists(refused(), min_size=2, max_size=6, unique_by=lambda pair: pair[0]), st.booleans())
def test_all_problems_are_told_at_once(pairs, prior):
    found = problems(base() | dict(pairs) | {"with_prior_preservation": prior})
    names = sorted([name for name, _ in pairs] + ["class_prompt"] * prior, key=list(SPECS).index)
    assert [problem.option for problem in found] == names


@repeatable(150)
@given(TEXT.filter(lambda name: name not in {*SPECS, *RunConfig.model_fields, IMPORTED}), ANYTHING, refused())
def test_a_name_that_is_no_option_is_told_beside_the_rest(name, value, pair):
    with pytest.raises(ConfigError) as caught:
        parse_config(base() | {name: value, pair[0]: pair[1]})
    assert [problem.option for problem in caught.value.problems] == [printable(name), pair[0]]
    assert caught.value.problems[0].message.startswith(f"{printable(name)} is not an option")


def nested(depth):
    """A list of a list of a list …"""
    found = []
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("value", [10**400, 16**4000, nested(10_000)], ids=["no float", "no decimals", "no end"])
def test_a_value_that_python_itself_cannot_write_or_compare_is_refused_like_any_other(value):
    """TOML's hexadecimal numbers and JSON's numbers can be of any size."""
    for name in SPECS:
        (problem,) = problems(base() | {name: value})
        assert problem.option == name
        assert len(problem.message) < 400


@pytest.mark.parametrize("table", [[1], "x", 3, True, math.nan, 10**400])
def test_a_block_that_is_no_table_is_refused(table):
    with pytest.raises(ConfigError, match="scheduled_sampling must be a table of options, got "):
        parse_config(base() | {"scheduled_sampling": table})


def fitting(config):
    """The kinds that a base model of this configuration can turn out to be."""
    rollout = config.scheduled_sampling
    name = config.model.pretrained_model_name_or_path
    kinds = {"embedded": ("v_prediction",), "embedded-flow": ("flow_matching",)}.get(name, KINDS)
    if config.training.snr_gamma is not None:
        kinds = [kind for kind in kinds if kind != "flow_matching"]
    if rollout.reflexflow and rollout.max_step_offset > 0:
        kinds = [kind for kind in kinds if kind == "flow_matching"]
    return kinds


def stream(config, kind, seed):
    """Draws from a single picture, on the grid of a real sampler."""
    scheduler = noise_schedulers(kind)
    schedule = NoiseSchedule.from_diffusers(scheduler)
    zero, one, framing = (torch.full(size, value) for size, value in (((1,), 0), ((1,), 1), ((1, 6), 0)))
    picture = LatentSet(torch.ones(1, 1, 2, 2), zero, one, framing, zero, torch.ones(1, 2), torch.zeros(2), ("a",), one)
    rollout = config.scheduled_sampling
    grid = inference_grid(scheduler, config.validation.validation_num_inference_steps)
    return schedule, BatchStream(
        [Source(picture, "order", "variant", 1.0, one)], seed=seed, batch_size=5, micro_steps=1, caption_dropout=0.5,
        kind=kind, last=schedule.last, rollout=rollout, grid=grid if rollout.stride == "inference" else None,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 28, 999, 1000])
def test_the_grid_of_any_number_of_sampling_steps_lies_within_the_noise_schedule(kind, count):
    scheduler = noise_schedulers(kind)
    grid = inference_grid(scheduler, count)
    assert (grid >= 0).all()
    assert (grid <= NoiseSchedule.from_diffusers(scheduler).last).all()
    assert (grid.diff() > 0).all()


@repeatable(150)
@given(rollouts(), st.integers(0, 99), st.integers(0, 10_000_000))
def test_plans_can_be_drawn_from_what_is_supported(values, seed, step):
    assume(not problems(values))
    config = parse_config(values)
    assume(not check_supported(config))
    rollout = config.scheduled_sampling
    for kind in fitting(config):
        schedule, batches = stream(config, kind, seed)
        for position in (Position(step, 0), Position(rollout.start_step + rollout.ramp_steps, 0)):
            probability = probability_at(position.step, rollout)
            batch = batches.draw(position, probability)
            plan, path = batch.plan, batch.plan.itinerary()
            assert ((path >= 0) & (path <= schedule.last)).all()
            assert plan.longest <= rollout.max_step_offset
            assert batch.share.shape == (path if rollout.mode == "visited" else path[:1]).shape
            torch.testing.assert_close(batch.share.sum(0), torch.ones(5))
            assert 0 <= probability <= rollout.highest_probability + 1e-9
            assert probability > 0 or plan.longest == 0
