"""What cannot be honoured is refused in a sentence before the first step; what can be, trains."""

import pytest
import torch
from diffusers import EulerDiscreteScheduler
from tiny_checkpoint import noise_schedulers, save_checkpoint
from tiny_runs import ROLLOUT, adapter, metrics, run, same_bits

from core.errors import ConfigError, DataError
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.status import read_status
from core.samples import load
from core.training.loop import Loop

PREFIX = "scheduled_sampling_"


@pytest.fixture
def refusal(one_thread, config, runs_dir, monkeypatch):
    """``refusal(base, **flat)``: the sentences of a run that is refused before its first step."""

    def words(base="v_prediction", error=ConfigError, **changes) -> list[str]:
        monkeypatch.setattr(Loop, "run", lambda loop: pytest.fail("the loop began"))
        folder = RunFolder.create(runs_dir, "run", config(base, **changes))
        with pytest.raises(error) as caught:
            run(folder)
        assert read_status(folder).phase == "failed"
        assert read_status(folder).error == str(caught.value)
        assert metrics(folder) == []
        return [problem.message for problem in caught.value.problems]

    return words


def test_half_precision_without_a_gpu(refusal, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (message,) = refusal(mixed_precision="fp16")
    assert message == "mixed_precision must be no or bf16 without a GPU, got 'fp16'; use bf16 or no"


def test_reflexflow_on_a_hub_model_that_turns_out_not_to_be_flow_matching(refusal, bases, monkeypatch):
    monkeypatch.setattr(load, "model_path", lambda name: str(bases["v_prediction"]))
    (message,) = refusal("somebody/a-model", **{**ROLLOUT, f"{PREFIX}reflexflow": True})
    assert message == "scheduled_sampling_reflexflow must be false or unset for a v_prediction base model, got true"


def test_visited_rollouts_on_a_base_with_dropout_of_its_own(refusal, monkeypatch):
    monkeypatch.setattr(torch.nn.Dropout, "__init__", _half)
    (message,) = refusal("v_prediction", **{**ROLLOUT, f"{PREFIX}mode": "visited"})
    assert message.startswith("scheduled_sampling_mode must be fresh for a base model with dropout of its own")


def _half(self, p=0.5, inplace=False):
    torch.nn.Module.__init__(self)
    self.p, self.inplace = 0.5, inplace


def test_a_sampler_whose_only_step_is_at_the_clean_end(refusal, tmp_path):
    scheduler = EulerDiscreteScheduler.from_config(noise_schedulers("epsilon").config)
    base = save_checkpoint(tmp_path / "euler", scheduler=scheduler)
    (message,) = refusal(base, validation_num_inference_steps=1)
    assert message.startswith("validation_num_inference_steps must be at least 2 for the sampler of this base model")


def test_a_rollout_that_is_longer_than_the_real_noise_schedule(refusal, tmp_path):
    short = noise_schedulers("epsilon", num_train_timesteps=500)
    base = save_checkpoint(tmp_path / "short", scheduler=short)
    given = {f"{PREFIX}max_step_offset": 10, f"{PREFIX}stride": 50, f"{PREFIX}probability": 1.0}
    (message,) = refusal(base, **given)
    assert "must be at most 499" in message
    assert "10 × 50 = 500" in message


def test_an_epsilon_model_whose_noise_schedule_ends_in_pure_noise(refusal, tmp_path):
    zero = noise_schedulers("epsilon", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    (message,) = refusal(save_checkpoint(tmp_path / "zero", scheduler=zero), **ROLLOUT)
    assert message.startswith("scheduled_sampling_max_step_offset must be 0 for an epsilon model")


def test_a_base_that_is_no_model(refusal, tmp_path):
    (message,) = refusal(tmp_path, DataError)
    assert message.startswith("pretrained_model_name_or_path must be a diffusers folder")


def test_pictures_are_checked_before_the_model_is_loaded(refusal, tmp_path):
    (message,) = refusal(tmp_path / "no model", DataError, instance_data_dir=str(tmp_path / "no pictures"))
    assert message.startswith("instance_data_dir must be a folder that exists")


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("v_prediction", {"mixed_precision": "bf16", **ROLLOUT}),
        ("flow_matching", {f"{PREFIX}reflexflow": False, **ROLLOUT}),
        ("flow_matching", {f"{PREFIX}mode": "visited", **ROLLOUT}),
        ("flow_matching", {f"{PREFIX}target": "posterior", f"{PREFIX}guidance_scale": 2.0, **ROLLOUT}),
        ("epsilon", {f"{PREFIX}mode": "visited", f"{PREFIX}target": "posterior", "snr_gamma": 5.0, **ROLLOUT}),
        (
            "sample",
            {f"{PREFIX}mode": "visited", "gradient_accumulation_steps": 2, "mixed_precision": "bf16", **ROLLOUT},
        ),
        ("flow_matching", {"mixed_precision": "bf16"}),
        ("epsilon", {"snr_gamma": 5.0, **ROLLOUT}),
        ("sample", {"snr_gamma": 5.0, "gradient_checkpointing": True, **ROLLOUT}),
        ("v_prediction", {f"{PREFIX}max_step_offset": 999, f"{PREFIX}probability": 0.01}),
        ("v_prediction", {"train_batch_size": 9}),
        ("v_prediction", {"resolution": 8}),
    ],
)
def test_what_is_not_refused_trains_and_validates(trained, base, changes):
    folder = trained("run", base, validation_prompts=("a sks cat",), drift_pairs=2, **changes)
    assert read_status(folder).phase == "done"
    assert all(torch.isfinite(tensor).all() for tensor in adapter(folder).values())
    assert [line["step"] for line in journal.read_all(folder.drift_path)] == [0, 0, 3]


def test_an_epsilon_model_that_ends_in_pure_noise_trains_teacher_forced_with_its_probe(trained, tmp_path):
    zero = noise_schedulers("epsilon", rescale_betas_zero_snr=True, timestep_spacing="trailing")
    folder = trained("run", save_checkpoint(tmp_path / "zero", scheduler=zero), drift_pairs=2)
    assert [line["step"] for line in journal.read_all(folder.drift_path)] == [0, 0, 3]


def test_k_zero_keeps_the_other_options_and_is_teacher_forcing_bit_for_bit(trained):
    kept = {f"{PREFIX}mode": "visited", f"{PREFIX}target": "posterior", f"{PREFIX}stride": "inference"}
    off = trained("off", **kept, **{f"{PREFIX}guidance_scale": 1.0, f"{PREFIX}probability": 1.0})
    plain = trained("plain")
    assert same_bits(adapter(off), adapter(plain))


def test_a_polynomial_course_below_its_end_is_told(refusal):
    (message,) = refusal(lr_scheduler="polynomial", learning_rate=1e-8)
    assert "learning_rate" in message
