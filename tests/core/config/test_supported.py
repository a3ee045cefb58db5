import pytest

from core.config.presets import list_presets, resolve_config
from core.config.spec import option_specs
from core.config.supported import LIMITS, check_supported, supported_text


@pytest.mark.parametrize("name", list(list_presets()))
def test_a_shipped_preset_can_be_trained_or_its_family_says_so(name):
    config = list_presets()[name].config
    problems = check_supported(config)
    if config.model.family == "stable_diffusion":
        assert problems == []
    else:
        (problem,) = problems
        assert problem.option == "family"
        assert problem.message == (
            f"family must be stable_diffusion in this version, got '{config.model.family}'; "
            "take a preset of that family, such as sd15"
        )


@pytest.mark.parametrize(
    ("option", "value", "supported"),
    [
        ("scheduled_sampling_stride", "inference", "a whole number"),
        ("scheduled_sampling_mode", "visited", "fresh"),
        ("scheduled_sampling_target", "posterior", "anchored or original"),
        ("scheduled_sampling_guidance_scale", 2.0, "1"),
    ],
)
def test_what_is_not_built_names_what_is_and_the_off_switch_silences_it(option, value, supported):
    (problem,) = check_supported(resolve_config("demo", overrides={option: value}))
    assert problem.option == option
    assert problem.message.startswith(f"{option} must be {supported} in this version, got ")
    off = resolve_config("demo", overrides={option: value, "scheduled_sampling_max_step_offset": 0})
    assert check_supported(off) == []


@pytest.mark.parametrize(
    ("setting", "longest", "named"),
    [(None, 2, True), (None, 0, False), (True, 2, True), (True, 0, False), (False, 2, False)],
)
def test_reflexflow_is_refused_when_set_and_when_it_would_switch_itself_on(setting, longest, named):
    changes = {"scheduled_sampling_reflexflow": setting, "scheduled_sampling_max_step_offset": longest}
    problems = check_supported(resolve_config("flux", overrides=changes))
    messages = [problem.message for problem in problems if problem.option == "scheduled_sampling_reflexflow"]
    assert bool(messages) is named
    if named:
        assert messages[0].endswith("; set scheduled_sampling_reflexflow = false")


def test_reflexflow_that_is_asked_for_is_refused_even_while_the_probability_is_zero():
    never = {"scheduled_sampling_ramp_steps": 0, "scheduled_sampling_probability": 0.0}
    for setting, count in ((True, 2), (None, 1)):
        config = resolve_config("flux", overrides={**never, "scheduled_sampling_reflexflow": setting})
        assert len(check_supported(config)) == count


def test_reflexflow_is_in_force_by_itself_only_with_flow_matching_and_rollout():
    assert not resolve_config("demo").reflexflow_on
    assert not resolve_config("flux").reflexflow_on
    assert resolve_config("flux", overrides={"scheduled_sampling_reflexflow": "unset"}).reflexflow_on
    off = {"scheduled_sampling_reflexflow": "unset", "scheduled_sampling_max_step_offset": 0}
    assert not resolve_config("flux", overrides=off).reflexflow_on


@pytest.mark.parametrize("option", ["strategy", "ramp_shape", "start_step", "sampler", "order"])
def test_what_is_built_has_no_limit(option):
    assert supported_text(f"scheduled_sampling_{option}") == ""


def test_every_limit_is_about_an_option():
    assert {limit.option for limit in LIMITS} <= set(option_specs())
