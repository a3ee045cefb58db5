"""Each family's preset from the command line to a LoRA that a fresh diffusers pipeline reads."""

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline, StableDiffusion3Pipeline, StableDiffusionXLPipeline
from tiny_families import CLASSES, save_flux
from tiny_runs import ADAPTER, ROLLOUT, SIDE, adapter, metrics, reset_accelerate, resume_from_the_middle, run, same_bits

from core.errors import ConfigError
from core.models.lora_file import read_lora
from core.models.lora_fit import load_lora, misfits
from core.rollout.samplers import SAMPLERS
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.records import read_records
from core.samples.from_run import draw
from core.training.build import build, make_accelerator
from core.training.loop import Loop
from core.training.report import Report

PIPELINES = {"sdxl": StableDiffusionXLPipeline, "sd3": StableDiffusion3Pipeline, "flux": FluxPipeline}
FAMILIES = sorted(PIPELINES)
PROMPT, STEPS, GUIDANCE = "a sks cat", 3, 3.5


def drawn(pipeline):
    """What a user draws with the pipeline alone."""
    pipeline.set_progress_bar_config(disable=True)
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    found = pipeline(
        [PROMPT] * 2, num_inference_steps=STEPS, guidance_scale=GUIDANCE, height=SIDE, width=SIDE, generator=generators
    )
    return np.stack([np.array(picture) for picture in found.images]).astype(int)


@pytest.fixture
def kept(monkeypatch):
    """What the trained network itself draws at the end of a run."""
    found, plain = {}, Loop._finish

    def finish(loop):
        plain(loop)
        loop.parts.family.network.eval()
        found["pixels"] = drawn(loop.parts.family.pipeline)

    monkeypatch.setattr(Loop, "_finish", finish)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_the_preset_goes_from_the_command_line_to_a_lora_that_diffusers_draws_with(
    family, family_bases, pictures, typed, kept, one_thread, tmp_path
):
    changes = {
        "pretrained_model_name_or_path": family_bases[family], "variant": "none", "instance_data_dir": pictures,
        "instance_prompt": PROMPT, "resolution": SIDE, "max_train_steps": 3, "mixed_precision": "no",
        "learning_rate": 0.1, "lr_scheduler": "constant", "lr_warmup_steps": 0, "lora_targets": "all",
        "validation_prompts": PROMPT, "validation_num_inference_steps": STEPS, "drift_pairs": 2,
        "drift_samples": 2, "scheduled_sampling_start_step": 0, "scheduled_sampling_ramp_steps": 0,
        "scheduled_sampling_probability": 1.0, "scheduled_sampling_max_step_offset": 2,
        "gradient_accumulation_steps": 1, "train_batch_size": 4,
    }  # fmt: skip
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    code, said, complained = typed("train", family, *words, "--runs-dir", str(tmp_path), "--name", "run")
    assert (code, said[-1]) == (0, "done: 3 steps, adapter saved"), complained
    folder = RunFolder(tmp_path / "run")
    assert sum(line["rolled"] for line in metrics(folder)) > 0
    records = read_records(DriftRecord, folder.drift_path)
    assert all(record.chain is not None and record.chain.guidance == 1 for record in records)
    assert len(list(folder.samples_dir.rglob("*.png"))) == 2
    pipeline = PIPELINES[family].from_pretrained(family_bases[family])
    before = drawn(pipeline)
    pipeline.load_lora_weights(folder.adapter_dir)
    after = drawn(pipeline)
    assert np.abs(after - before).max() > 3
    assert np.abs(after - kept["pixels"]).max() <= 1
    assert len(list(draw(folder, [PROMPT], [1], tmp_path / "out"))) == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_resumed_run_ends_as_one_that_went_through(family, family_bases, config, runs_dir, one_thread):
    base = {"base": family_bases[family], "family": family, "lora_targets": "all", **ROLLOUT}
    whole = RunFolder.create(runs_dir, "run", config(**base, checkpointing_steps=2))
    run(whole)
    first = adapter(whole)
    resume_from_the_middle(whole)
    assert same_bits(adapter(whole), first)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_sampler_and_mode_takes_a_step_and_its_lora_fits(family, family_bases, config, runs_dir, one_thread):
    values = {"family": family, "lora_targets": "all", "caption_dropout": 0.5, "random_flip": True}
    guided = {} if family == "flux" else {"scheduled_sampling_guidance_scale": 2.0}
    for sampler in SAMPLERS:
        for mode in ("fresh", "visited") if sampler != "rk4" else ("fresh",):
            reset_accelerate()
            rollout = {"scheduled_sampling_sampler": sampler, "scheduled_sampling_mode": mode}
            more = guided if mode == "fresh" else {}
            own = config(family_bases[family], max_train_steps=1, **values, **ROLLOUT, **rollout, **more)
            folder = RunFolder.create(runs_dir, f"{sampler}-{mode}", own)
            loop = Loop(folder, build(own, runs_dir, Report(folder, None), make_accelerator(own)), Report(folder, None))
            loop.run()
            assert len(metrics(folder)) == 1
    fresh = CLASSES[family].load(str(family_bases[family]))
    lora = read_lora(folder.adapter_dir / ADAPTER)
    assert {module.part for module in lora.modules} == {fresh.part}
    assert misfits(lora, fresh) == ()
    noisy, condition = torch.ones(1, 4, 8, 8), fresh.encode_prompts([PROMPT])
    trained = loop.parts.family
    trained.network.eval()
    load_lora(lora, fresh)
    with torch.no_grad():
        found = [each.predict(each.network, noisy, torch.tensor([500.0]), condition) for each in (trained, fresh)]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def refusals(config, base, **values) -> str:
    with pytest.raises(ConfigError) as caught:
        build(config(base, **values), base, Report(RunFolder(base), None), make_accelerator(config(base, **values)))
    return " ".join(problem.message for problem in caught.value.problems)


def test_guidance_that_cannot_be_honoured_is_refused(family_bases, config, one_thread, tmp_path):
    flux = {"family": "flux", **ROLLOUT, "scheduled_sampling_guidance_scale": 2.0}
    with pytest.raises(ConfigError, match="scheduled_sampling_guidance_scale must be 1 for flux"):
        config(family_bases["flux"], **flux)
    with pytest.raises(ConfigError, match="embedded_guidance must be unset for sd3"):
        config(family_bases["sd3"], family="sd3", embedded_guidance=2.0)
    told = refusals(config, save_flux(tmp_path / "schnell", guided=False), family="flux", validation_guidance_scale=3.5)
    assert "validation_guidance_scale must be 1 for a base model that takes no guidance, got 3.5" in told


def test_a_resolution_that_the_base_cannot_take_is_refused(family_bases, config, one_thread, monkeypatch):
    monkeypatch.setattr(CLASSES["flux"], "resolution_multiple", 12)
    told = refusals(config, family_bases["flux"], family="flux")
    assert "resolution must be a multiple of 12 for this base model, got 16" in told
    told = refusals(config, family_bases["sd3"], family="sd3", resolution=64)
    assert "resolution must be at most 48 for this base model, got 64" in told
