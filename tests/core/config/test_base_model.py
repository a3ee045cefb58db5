import json

import pytest

from core.config.base_model import flow_matching_known, last_timestep
from core.config.flat import parse_config
from core.errors import ConfigError

PREFIX = "scheduled_sampling_"
BETAS = {"_class_name": "UniPCMultistepScheduler", "beta_schedule": "linear", "prediction_type": "epsilon"}
FLOW = {**BETAS, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}


@pytest.fixture
def folder(tmp_path):
    """A local base model that says this about its scheduler: a table, or the file's very bytes."""

    def make(scheduler) -> str:
        (tmp_path / "scheduler").mkdir()
        content = scheduler if isinstance(scheduler, bytes) else json.dumps(scheduler).encode()
        (tmp_path / "scheduler" / "scheduler_config.json").write_bytes(content)
        return str(tmp_path)

    return make


def config(name, family="stable_diffusion", *, longest=3, **values):
    flat = {"instance_data_dir": "pictures", "instance_prompt": "a sks dog", f"{PREFIX}probability": 1.0}
    flat |= {f"{PREFIX}max_step_offset": longest, "family": family, "pretrained_model_name_or_path": name}
    return parse_config({**flat, **values})


def refused(*args, **values) -> str:
    with pytest.raises(ConfigError) as caught:
        config(*args, **values)
    (problem,) = caught.value.problems
    return problem.message


@pytest.mark.parametrize(
    ("family", "name", "known"),
    [
        ("stable_diffusion", "embedded", False),
        ("stable_diffusion", "embedded-flow", True),
        ("stable_diffusion", "some-owner/some-model", None),
        ("stable_diffusion", "x" * 5000, None),
        ("sdxl", "some-owner/some-model", False),
        ("sd3", "some-owner/some-model", True),
        ("flux", "some-owner/some-model", True),
    ],
)
def test_the_family_or_an_embedded_base_tells_the_kind_and_a_hub_name_does_not(family, name, known):
    assert flow_matching_known(family, name) is known
    assert last_timestep(family, name) == (1000 if known else 999)


@pytest.mark.parametrize(
    ("scheduler", "known"),
    [
        (BETAS, False),
        (FLOW, True),
        ({**BETAS, "use_flow_sigmas": True}, True),
        ({**BETAS, "prediction_type": "flow_prediction"}, True),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}, True),
        ({**BETAS, "use_flow_sigmas": False}, False),
        (b"{ no json", None),
        (b"[" * 100_000, None),
        (b"[1]", None),
        (b'{"_class_name": "\xff"}', None),
    ],
)
def test_a_local_folder_tells_the_kind_by_its_scheduler(folder, scheduler, known):
    assert flow_matching_known("stable_diffusion", folder(scheduler)) is known


def test_a_folder_without_a_scheduler_is_not_known(tmp_path):
    assert flow_matching_known("stable_diffusion", str(tmp_path)) is None
    (tmp_path / "scheduler" / "scheduler_config.json").mkdir(parents=True)
    assert flow_matching_known("stable_diffusion", str(tmp_path)) is None


def test_reflexflow_is_in_force_by_itself_only_with_flow_matching_and_rollout(folder):
    for name in ("embedded-flow", folder(FLOW)):
        assert config(name).reflexflow_on
        assert not config(name, longest=0).reflexflow_on
        assert not config(name, **{f"{PREFIX}probability": 0.0}).reflexflow_on
        assert not config(name, **{f"{PREFIX}reflexflow": False}).reflexflow_on
    for name in ("embedded", "some-owner/some-model"):
        assert not config(name).reflexflow_on


def test_reflexflow_is_refused_where_the_base_is_known_not_to_be_flow_matching(folder):
    asked = {f"{PREFIX}reflexflow": True}
    path = folder(BETAS)
    for name, family, told in ((path, "stable_diffusion", path), ("some-owner/some-model", "sdxl", "sdxl")):
        message = refused(name, family, **asked)
        assert message.startswith(f"{PREFIX}reflexflow must be false or unset for {told}, which is not flow matching")
    for name in ("some-owner/some-model", "not/there", "embedded-flow"):
        assert config(name, **asked).reflexflow_on
    assert not config(path, longest=0, **asked).reflexflow_on


def test_a_flow_matching_base_has_one_more_timestep_and_no_min_snr(folder):
    path, stride = folder(FLOW), {f"{PREFIX}stride": 100}
    for name in (path, "embedded-flow"):
        assert config(name, longest=10, **stride).last_timestep == 1000
        assert config(name).flow_matching
        assert refused(name, snr_gamma=5.0).startswith(f"snr_gamma must be unset for {name}, whose flow matching loss")
    for name in ("embedded", "some-owner/some-model"):
        assert "must be at most 999" in refused(name, longest=10, **stride)
        assert not config(name, snr_gamma=5.0).flow_matching


def test_an_embedded_base_takes_no_revision_and_no_variant():
    for name in ("embedded", "embedded-flow"):
        assert refused(name, revision="main").startswith("revision must be unset for an embedded base model")
        assert refused(name, variant="fp16").startswith("variant must be unset for an embedded base model")
