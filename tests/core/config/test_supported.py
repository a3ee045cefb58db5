import pytest

from core.config.presets import list_presets, resolve_config
from core.config.spec import option_specs
from core.config.supported import LIMITS, check_supported, supported_text

PREFIX = "scheduled_sampling_"


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
    ("preset", "changes"),
    [
        ("demo", {"stride": "inference"}),
        ("demo", {"mode": "visited"}),
        ("demo", {"target": "posterior"}),
        ("demo", {"guidance_scale": 2.0}),
        ("demo-flow", {"reflexflow": True}),
        ("demo-flow", {"reflexflow": None, "mode": "visited", "target": "posterior"}),
    ],
)
def test_every_rollout_option_can_be_trained(preset, changes):
    overrides = {PREFIX + name: value for name, value in changes.items()}
    assert check_supported(resolve_config(preset, overrides=overrides)) == []


def test_no_rollout_option_has_a_limit():
    assert [name for name in option_specs() if name.startswith(PREFIX) and supported_text(name)] == []
    assert supported_text("family") == "stable_diffusion"


def test_every_limit_is_about_an_option():
    assert {limit.option for limit in LIMITS} <= set(option_specs())
