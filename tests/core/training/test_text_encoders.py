"""Text encoders that learn beside the network: they tell what they say now, and learn through what they tell."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from several_processes import IN_PROPORTION, apart, launched
from tiny_families import family_bases
from tiny_runs import ROLLOUT, SIDE, adapter, metrics, reset_accelerate, resume_from_the_middle, run, same_bits

from core.errors import ConfigError
from core.models.lora_file import read_lora
from core.models.lora_fit import load_lora, without_lora
from core.runs.folder import RunFolder
from core.runs.memory import need_of
from core.samples.load import load_base, load_finished
from core.training import loop as loops
from core.training.batches import Position
from core.training.build import build, make_accelerator
from core.training.loop import MICRO_STEPS, Loop
from core.training.memory import forecast_memory
from core.training.probe import probe
from core.training.report import Report
from core.training.step import Trainer

__all__ = ["family_bases"]

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).resolve().parents[3]
ENCODERS = {
    "stable_diffusion": {"text_encoder"},
    "sdxl": {"text_encoder", "text_encoder_2"},
    "sd3": {"text_encoder", "text_encoder_2"},
    "flux": {"text_encoder"},
}
MODES = {"fresh": ROLLOUT, "visited": {**ROLLOUT, "scheduled_sampling_mode": "visited"}}
NETWORK = {"stable_diffusion": "unet", "sdxl": "unet", "sd3": "transformer", "flux": "transformer"}
PROMPT = "a sks cat"
SOME = ["stable_diffusion", *(pytest.param(family, marks=pytest.mark.faults) for family in ("sdxl", "sd3", "flux"))]
"""The others take a minute together."""


@pytest.fixture
def of(bases, family_bases, config):
    """``of(family, **flat)``: a config of that family whose text encoders are trained."""
    places = {"stable_diffusion": bases["v_prediction"], **family_bases}

    def make(family, **changes):
        return config(places[family], family=family, **{"train_text_encoder": True, **changes})

    return make


@pytest.fixture
def built(runs_dir):
    """``built(config)``: the parts of a training."""

    def make(own):
        reset_accelerate()
        return build(own, runs_dir.parent / "classes", Report(RunFolder(runs_dir), None), make_accelerator(own))

    return make


def batch_of(parts, probability=1.0):
    return parts.stream.draw(Position(0, 0), probability)


def disturb(parts, by=0.3):
    """As if it had been trained: B of each encoder's LoRA is no longer zero."""
    for encoder in parts.conditions.encoders.values():
        for name, parameter in encoder.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=by, generator=torch.Generator().manual_seed(len(name)))


@pytest.mark.parametrize("family", ENCODERS)
def test_untrained_encoders_tell_what_was_cached_of_prompt_framing_and_no_prompt(family, of, built, monkeypatch):
    parts = built(of(family, train_batch_size=6, caption_dropout=0.5, center_crop=False))
    monkeypatch.setattr(parts.family.pipeline, "_get_t5_prompt_embeds", None, raising=False)  # is not asked at a step
    batch = batch_of(parts)
    assert None in batch.prompts
    assert {PROMPT, "a red sks cat"} & set(batch.prompts)
    assert set(parts.conditions.encoders) == ENCODERS[family]
    with parts.conditions.told(batch, parts.options) as (told, _):
        torch.testing.assert_close(told.condition.detach(), batch.condition, rtol=1e-4, atol=1e-5)
        told.condition.sum().backward()


@pytest.mark.parametrize("family", ENCODERS)
def test_trained_encoders_tell_what_the_pipeline_encodes_with_them(family, of, built):
    parts = built(of(family))
    before, empty = parts.family.encode_prompts([PROMPT]), parts.family.empty_condition()[None]
    disturb(parts)
    now = parts.family.encode_prompts([PROMPT])
    assert (now - before).abs().max() > 0.01
    torch.testing.assert_close(parts.conditions.now(before, [PROMPT]), now, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        parts.conditions.now(empty, [None])[0], parts.family.empty_condition(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", SOME)
def test_every_matrix_of_the_encoders_gets_the_gradient_of_the_loss(family, mode, of, built):
    """Held against one graph from the encoders' parameters to the loss, which nothing cuts."""
    parts = built(of(family, train_batch_size=4, caption_dropout=0.3, **MODES[mode]))
    disturb(parts)
    batch, step = batch_of(parts), MICRO_STEPS[mode]
    learnt = dict(enumerate(p for part in parts.conditions.encoders.values() for p in part.parameters()))
    learnt = {place: parameter for place, parameter in learnt.items() if parameter.requires_grad}
    trainer = loops._trainer(parts)
    with parts.conditions.told(batch, parts.options) as told:
        step(trainer, *told)
    found = {name: parameter.grad for name, parameter in learnt.items()}
    assert all(gradient is not None and gradient.abs().max() > 0 for gradient in found.values())
    for parameter in learnt.values():
        parameter.grad = None
    whole = Trainer(
        trainer.network, trainer.bare, trainer.predict, lambda loss: loss.backward(retain_graph=True), nullcontext
    )
    step(whole, replace(batch, condition=parts.family.renew(batch.condition, batch.prompts)), parts.options)
    for name, parameter in learnt.items():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-7)


def test_rollouts_are_told_the_same_without_gradient(of, built, monkeypatch):
    parts = built(of("stable_diffusion", train_batch_size=4, **ROLLOUT, scheduled_sampling_guidance_scale=2.0))
    disturb(parts)
    asked, predict = [], parts.family.predict

    def watched(network, noisy, timestep, condition):
        found = predict(network, noisy, timestep, condition)
        asked.append((condition.detach(), found.requires_grad))
        return found

    monkeypatch.setattr(parts.family, "predict", watched)
    batch = batch_of(parts)
    with parts.conditions.told(batch, parts.options) as told:
        MICRO_STEPS["fresh"](loops._trainer(parts), *told)
    assert [trained for _, trained in asked] == [False] * (len(asked) - 1) + [True]
    now = parts.family.encode_prompts([prompt or "" for prompt in batch.prompts])
    torch.testing.assert_close(asked[-1][0], now)
    captioned, unprompted = asked[0][0].chunk(2)
    assert all(any(torch.allclose(row, each, atol=1e-5) for each in now) for row in captioned)
    torch.testing.assert_close(unprompted, parts.family.empty_condition().expand_as(unprompted))


def test_the_drift_probe_is_told_what_the_encoders_say_now(of, built):
    parts = built(of("stable_diffusion", drift_pairs=2))
    before = probe(parts, lambda: None)
    disturb(parts)
    after = probe(parts, lambda: None)
    assert before.m1 != after.m1


@pytest.mark.parametrize("family", SOME)
def test_a_run_begins_as_without_and_ends_with_encoders_that_moved(family, of, runs_dir):
    given = {"caption_dropout": 0.2, **ROLLOUT}
    folders = {
        on: RunFolder.create(runs_dir, str(on), of(family, train_text_encoder=on, **given)) for on in (False, True)
    }
    for folder in folders.values():
        run(folder)
    losses = {on: [line["loss"] for line in metrics(folder)] for on, folder in folders.items()}
    assert losses[True][0] == pytest.approx(losses[False][0], rel=1e-4)
    assert losses[True][1:] != losses[False][1:]
    assert {module.part for module in read_lora(folders[False].adapter_dir).modules} == {NETWORK[family]}
    lora = read_lora(folders[True].adapter_dir)
    assert {module.part for module in lora.modules} == {NETWORK[family], *ENCODERS[family]}
    theirs = {name: tensor for name, tensor in adapter(folders[True]).items() if name.startswith("text_encoder")}
    assert all(".text_model.encoder.layers." in name for name in theirs)
    assert all(tensor.abs().max() > 0 for tensor in theirs.values())


@pytest.mark.parametrize("family", SOME)
def test_a_resumed_run_ends_as_one_that_went_through(family, of, runs_dir):
    whole = RunFolder.create(runs_dir, "run", of(family, checkpointing_steps=2, text_encoder_lr=3e-3, **ROLLOUT))
    run(whole)
    first = adapter(whole)
    resume_from_the_middle(whole)
    assert same_bits(adapter(whole), first)


@pytest.mark.parametrize("family", SOME)
def test_a_fresh_pipeline_draws_what_the_trained_parts_drew(family, of, runs_dir, monkeypatch):
    kept, plain = {}, Loop._finish

    def finish(loop):
        plain(loop)
        loop.parts.family.network.eval()
        kept["pixels"] = drawn(loop.parts.family.pipeline)

    monkeypatch.setattr(Loop, "_finish", finish)
    own = of(family, learning_rate=0.1, lora_alpha=3.0)
    folder = RunFolder.create(runs_dir, "run", own)
    run(folder)
    pipeline = DiffusionPipeline.from_pretrained(own.model.pretrained_model_name_or_path)
    without = drawn(pipeline)
    pipeline.load_lora_weights(folder.adapter_dir)
    assert np.abs(drawn(pipeline) - kept["pixels"]).max() <= 1
    assert np.abs(drawn(load_finished(folder).pipeline) - kept["pixels"]).max() <= 1
    pipeline.unload_lora_weights()
    assert np.abs(drawn(pipeline) - without).max() == 0
    fresh = load_base(own)
    load_lora(read_lora(folder.adapter_dir), fresh)
    adapted, plain_base = fresh.encode_prompts([PROMPT]), load_base(own).encode_prompts([PROMPT])
    assert (adapted - plain_base).abs().max() > 1e-3
    with without_lora(fresh):
        torch.testing.assert_close(fresh.encode_prompts([PROMPT]), plain_base)


def drawn(pipeline):
    """What a user draws with the pipeline alone."""
    pipeline.set_progress_bar_config(disable=True)
    found = pipeline(
        PROMPT, num_inference_steps=3, guidance_scale=3.5, height=SIDE, width=SIDE,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    return np.stack([np.array(picture) for picture in found.images]).astype(int)


@pytest.mark.parametrize("changes", [{}, {"scheduled_sampling_mode": "visited", "gradient_accumulation_steps": 2}])
@pytest.mark.faults
def test_two_processes_train_what_one_does(of, runs_dir, changes):
    given = {**ROLLOUT, "scheduled_sampling_probability": 0.6, "caption_dropout": 0.3, **IN_PROPORTION, **changes}
    one = RunFolder.create(runs_dir, "one", of("stable_diffusion", train_batch_size=4, **given))
    run(one)
    two = RunFolder.create(runs_dir, "two", of("stable_diffusion", train_batch_size=2, num_processes=2, **given))
    launched(two)
    for part in ("unet.", "text_encoder."):
        assert apart(adapter(one), adapter(two), part) < 1e-4


def test_the_encoders_have_a_learning_rate_of_their_own_on_the_same_course(of, built):
    assert [group["lr"] for group in built(of("sdxl")).optimizer.param_groups] == [1e-2, 1e-2]
    parts = built(of("sdxl", lr_scheduler="linear", max_train_steps=4, text_encoder_lr=4e-3))
    assert [group["lr"] for group in parts.optimizer.param_groups] == [1e-2, 4e-3]
    parts.optimizer.step()
    parts.scheduler.step()
    assert [group["lr"] for group in parts.optimizer.param_groups] == pytest.approx([7.5e-3, 3e-3])


def test_in_half_precision_they_tell_in_training_and_afterwards_the_same(of, built, runs_dir, monkeypatch):
    parts = built(of("stable_diffusion", mixed_precision="bf16"))
    kinds = {(p.requires_grad, p.dtype) for p in parts.conditions.encoders["text_encoder"].parameters()}
    assert kinds == {(False, torch.bfloat16), (False, torch.float32), (True, torch.float32)}
    kept, plain = [], Loop._finish
    monkeypatch.setattr(Loop, "_finish", lambda loop: (plain(loop), kept.append(loop.parts.family)))
    folder = RunFolder.create(runs_dir, "run", of("stable_diffusion", mixed_precision="bf16", learning_rate=0.1))
    run(folder)
    now, loaded = (family.encode_prompts([PROMPT]) for family in (kept[0], load_finished(folder)))
    assert (now - parts.family.encode_prompts([PROMPT])).abs().max() > 0.1
    torch.testing.assert_close(loaded, now, rtol=1e-2, atol=1e-2)


def test_the_forecast_of_memory_counts_encoders_that_stay_and_what_their_step_holds(of, built):
    configs = [of("sdxl", train_text_encoder=on, train_batch_size=4) for on in (True, False)]
    with_them, without = (forecast_memory(built(own)) for own in configs)
    size = {True: 0, False: 0}
    for encoder in built(of("sdxl")).conditions.encoders.values():
        for parameter in encoder.parameters():
            size[parameter.requires_grad] += parameter.numel() * parameter.element_size()
    assert (with_them.encoders, without.encoders) == (size[False], 0)
    assert with_them.adapter - without.adapter == size[True]
    assert with_them.activations > without.activations
    steps = [need_of(*each, "cpu").step for each in zip(configs, (with_them, without), strict=True)]
    assert steps[0] > steps[1] + size[False] + 2 * size[True]


REFUSED = {
    "lora_dropout must be 0 with train_text_encoder = true": {"lora_dropout": 0.1},
    "text_encoder_lr must be unset with train_text_encoder = false": {
        "text_encoder_lr": 1e-5, "train_text_encoder": False,
    },
    "text_encoder_lr must be unset with optimizer = prodigy": {"text_encoder_lr": 1e-5, "optimizer": "prodigy"},
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_go_together_is_refused(of, sentence):
    with pytest.raises(ConfigError, match=sentence):
        of("stable_diffusion", **REFUSED[sentence])
