"""Scores of one finished run: samples from fixed seeds against the latents that it was trained on."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from assets.build.vocabulary import BACKGROUNDS
from assets.results.matrix import ASKED_FOR, KEPT
from core.data.latents import LatentSet, to_tensor
from core.evaluation.chain import (
    band_log_ratio,
    border_error,
    channel_log_variance,
    diversity,
    high_frequency_ratio,
    log_variance,
    nearest_distance,
)
from core.evaluation.recovery import recovery
from core.models.family import Family
from core.runs import journal
from core.runs.folder import RunFolder
from core.samples.generate import Recipe, Sample, generate
from core.samples.latents import sample_latents
from core.samples.load import instance_latents, load_finished

SAMPLES = 24
"""Of the instance prompt, without guidance."""
SAMPLE_SEED = 1000
NOISES = 4
"""Noises a training latent, for the recovery gap."""
NOISE_SEED = 2000
BACKGROUND_SEEDS = (1000, 1001, 1002)
BACKGROUND_GUIDANCE = 2.0


@dataclass(frozen=True)
class Subject:
    """A run's base model with its adapter, and what it was trained on."""

    folder: RunFolder
    family: Family
    latents: LatentSet
    recipe: Recipe


def measure(folder: RunFolder, pictures: Path) -> dict:
    """Scores of a finished run; a few of its samples are written to ``pictures``.

    Raises:
        DataError: its base model or its pictures cannot be read.
    """
    began = time.perf_counter()
    subject = _load(folder)
    with torch.inference_mode():
        clean = subject.latents.latents
        samples = _sampled(subject)
        pictures.mkdir(parents=True, exist_ok=True)
        for index, picture in enumerate(_decoded(subject.family, samples[:KEPT])):
            picture.save(pictures / f"instance-{index}.png")
        scores = {
            "v": log_variance(samples, clean),
            "v_channels": channel_log_variance(samples, clean),
            "bands": band_log_ratio(samples, clean),
            "high": high_frequency_ratio(samples, clean),
            "nn": nearest_distance(samples, clean),
            "diversity": diversity(samples, clean),
            **_recovery(subject),
            **_borders(subject, pictures),
        }
    return {**scores, "samples": len(samples), "seconds": time.perf_counter() - began}


def _load(folder: RunFolder) -> Subject:
    config = folder.config()
    family = load_finished(folder)
    family.network.eval()
    recipe = Recipe(config.validation.validation_num_inference_steps, 1.0, config.data.resolution)
    return Subject(folder, family, instance_latents(config, family), recipe)


def _sampled(subject: Subject) -> Tensor:
    """Latents of the instance prompt, without guidance."""
    prompt, seeds = subject.folder.config().data.instance_prompt, range(SAMPLE_SEED, SAMPLE_SEED + SAMPLES)
    return sample_latents(subject.family, [prompt], seeds, subject.recipe, on_step=lambda: None)


def _decoded(family: Family, latents: Tensor) -> list[Image.Image]:
    pipeline = family.pipeline
    decoded = pipeline.vae.decode(latents / pipeline.vae.config["scaling_factor"], return_dict=False)[0]
    return pipeline.image_processor.postprocess(decoded, output_type="pil")


def _recovery(subject: Subject) -> dict:
    """G0, G1 and G2 on the training latents, on the grid that is sampled on, without guidance."""
    family, latents = subject.family, subject.latents
    which = torch.arange(NOISES * len(latents)) % len(latents)
    clean, condition = latents.latents[latents.first[which]], latents.conditions[latents.prompt[which]]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(NOISE_SEED))

    def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return family.predict(family.network, noisy, timestep, condition[items])

    found = recovery(
        denoiser, clean, noise, schedule=family.schedule, kind=family.kind,
        grid=family.sampling_grid(subject.recipe.steps, subject.recipe.size),
    )  # fmt: skip
    return {
        "g0": found.g0, "g1": found.g1, "g2": sum(found.g2) / len(found.g2), "g2_timesteps": found.g2,
        "timesteps": found.timesteps, "pairs": len(which),
    }  # fmt: skip


def _borders(subject: Subject, pictures: Path) -> dict:
    """The error of the asked-for background colour, with guidance, where the instance prompt names white."""
    instance = subject.folder.config().data.instance_prompt
    prompts = [instance.replace("white background", f"{colour} background") for colour in ASKED_FOR]
    recipe = Recipe(subject.recipe.steps, BACKGROUND_GUIDANCE, subject.recipe.size, batch=12)
    drawn = list(generate(subject.family, prompts, BACKGROUND_SEEDS, recipe, on_step=lambda: None))
    for sample in drawn:
        if sample.seed == BACKGROUND_SEEDS[0]:
            sample.picture.save(pictures / f"{ASKED_FOR[sample.prompt_index]}.png")
    by_colour = {
        colour: _border_of([sample for sample in drawn if sample.prompt_index == index], colour)
        for index, colour in enumerate(ASKED_FOR)
    }
    return {"border": sum(by_colour.values()) / len(by_colour), "border_colours": by_colour}


def _border_of(samples: list[Sample], colour: str) -> float:
    pictures = torch.stack([to_tensor(sample.picture) for sample in samples]) / 2 + 0.5
    asked = torch.tensor(BACKGROUNDS[colour]) / 255
    return border_error(pictures, asked.expand(len(pictures), 3))


def training_facts(folder: RunFolder) -> dict:
    """What a finished run's records say it took.

    Returns:
        seconds: of training steps alone, without loading, sampling and saving.
        rollout_forwards_per_item: no-gradient forwards of single items, over all items of all steps.
        peak_memory_mib: the largest recorded, None if none is.
    """
    records = journal.read_all(folder.metrics_path)
    items = sum(record["items"] for record in records)
    memory = [record["memory_mb"] for record in records if record.get("memory_mb") is not None]
    return {
        "seconds": records[-1]["elapsed"],
        "rollout_forwards_per_item": sum(record["rollout_forwards"] for record in records) / items,
        "peak_memory_mib": max(memory, default=None),
    }
