import pytest

from core.config import supported
from core.config.presets import list_presets, resolve_config
from core.config.spec import option_specs
from core.config.supported import LIMITS, Limit, check_supported, supported_text

PREFIX = "scheduled_sampling_"


@pytest.mark.parametrize("name", list(list_presets()))
def test_every_shipped_preset_can_be_trained(name):
    assert check_supported(list_presets()[name].config) == []


def test_what_keeps_to_no_limit_is_told(monkeypatch):
    limit = Limit("rank", "at most 2", lambda config: config.lora.rank <= 2, "lower it")
    monkeypatch.setattr(supported, "LIMITS", (limit,))
    (problem,) = check_supported(resolve_config("demo", overrides={"rank": 4}))
    assert (problem.option, problem.message) == ("rank", "rank must be at most 2 in this version, got 4; lower it")
    assert supported_text("rank") == "at most 2"


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


def test_no_option_has_a_limit():
    assert [name for name in option_specs() if supported_text(name)] == []


def test_every_limit_is_about_an_option():
    assert {limit.option for limit in LIMITS} <= set(option_specs())
