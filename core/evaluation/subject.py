"""What is measured on demand: a base model, with or without an adapter, its pictures, and the noises of all arms."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from core.config.paths import model_path
from core.config.run import RunConfig
from core.data.latents import LatentSet
from core.evaluation.adherence import Colour, adherence, read_backgrounds
from core.evaluation.full import Material, full_forwards, full_record
from core.evaluation.scores import draw_and_score
from core.models.family import Family
from core.models.lora_fit import without_lora
from core.runs.drift import ChainScores, DriftRecord
from core.samples.generate import Recipe
from core.samples.load import instance_latents, load_to_draw

PAIRS = 32
"""At least so many pairs: with them V finds a loss of 2 % of the variance."""
SAMPLES = 16
"""Where the configuration scores none while training."""

OnStep = Callable[[], None]


@dataclass(frozen=True, eq=False)
class Subject:
    """A loaded base model and what it is measured on.

    Attributes:
        config: of the run, or of the preset that lends base model, pictures and prompts.
        family: the base model, with an adapter on it or not.
        pictures: the training pictures' latents and prompts.
        backgrounds: the flat backgrounds that the base model knows by name.
    """

    config: RunConfig
    family: Family
    pictures: LatentSet
    backgrounds: dict[str, Colour]

    @property
    def grid(self) -> Float[Tensor, "points"]:
        """The timesteps of the configuration's own sampling, ascending; without pure noise for an epsilon model."""
        config = self.config
        return self.family.sampling_grid(config.validation.validation_num_inference_steps, config.data.resolution)

    @property
    def training(self) -> Float[Tensor, "pictures c h w"]:
        """One latent a training picture."""
        return self.pictures.pictures

    @property
    def prompts(self) -> tuple[str, ...]:
        """Of the training pictures, in their order."""
        return self.pictures.picture_prompts

    def state(self, base: bool) -> AbstractContextManager:
        """Without the adapter, or with it where there is one."""
        return without_lora(self.family) if base else nullcontext()

    def material(self) -> Material:
        """Pairs whose noises depend on the validation seed alone; conditions as the text encoder now gives them."""
        validation, pictures, device = self.config.validation, self.pictures, self.pictures.latents.device
        which = torch.arange(max(validation.drift_pairs, PAIRS)) % len(pictures)
        clean = self.training[which]
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(validation.validation_seed))
        conditions = self.family.encode_prompts(pictures.prompts)[pictures.prompt[which]]
        framing = pictures.framing[pictures.first[which]]
        return Material(
            clean=clean, noise=noise.to(device), condition=self.family.frame(conditions, framing).to(device),
            training=self.training, grid=self.grid, schedule=self.family.schedule, kind=self.family.kind,
        )  # fmt: skip

    def predict(self, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward."""
        return self.family.predict(self.family.network, noisy, timestep, condition)


def load_subject(config: RunConfig, folder: Path) -> Subject:
    """Loads the base model and encodes the pictures, on the GPU where there is one.

    Args:
        config: of a training.
        folder: on whose disk parts of the base model wait.

    Raises:
        DataError: base model or pictures cannot be read.
        RunError: the disk does not take these parts.
    """
    family = load_to_draw(config, folder)
    backgrounds = read_backgrounds(model_path(config.model.described_by))
    return Subject(config, family, instance_latents(config, family), backgrounds)


def samples_of(config: RunConfig) -> int:
    """How many samples are scored: as many as while training."""
    wanted = config.validation.drift_samples
    return wanted if wanted > 0 else SAMPLES


def own_sampling(config: RunConfig, samples: int | None = None) -> tuple[int, int, float]:
    """Samples, inference steps and guidance of the scores that belong to a full record."""
    return samples_of(config) if samples is None else samples, config.validation.validation_num_inference_steps, 1.0


def chain_at(subject: Subject, samples: int, steps: int, guidance: float, on_step: OnStep) -> ChainScores:
    """Scores of samples of the pictures' prompts, from the same noises in every arm and at every sampling.

    Args:
        subject: with or without its adapter.
        samples: how many.
        steps: sampling steps of the base model's own sampler.
        guidance: of the sampling; 1 asks the network as training does.
        on_step: called after each sampling step; an exception that it raises ends the drawing.
    """
    recipe = Recipe(steps, guidance, subject.config.data.resolution)
    family, prompts, seed = subject.family, subject.prompts, subject.config.validation.validation_seed
    scores, drawn = draw_and_score(family, prompts, subject.training, recipe, samples, seed, on_step)
    if not subject.backgrounds:
        return scores
    asked = [prompts[index % len(prompts)] for index in range(samples)]
    return replace(scores, adherence=adherence(family.decode(drawn), asked, subject.backgrounds))


def chain_steps(samples: int, steps: int) -> int:
    """Calls of ``on_step`` that :func:`chain_at` makes."""
    return -(-samples // Recipe(steps, 1.0, 8).batch) * steps


def measure_full(subject: Subject, *, base: bool, step: int, samples: int, on_step: OnStep) -> DriftRecord:
    """Every metric of base model or adapter.

    Args:
        subject: with its adapter, if it has one.
        base: whether the adapter is off.
        step: of the record.
        samples: that are scored.
        on_step: called at every forward; an exception that it raises ends the measurement.
    """
    began = time.perf_counter()
    with subject.state(base):
        found = full_record(subject.predict, subject.material(), on_step=on_step)
        chain = chain_at(subject, *own_sampling(subject.config, samples), on_step)
    return replace(found, step=step, base=base, chain=chain, seconds=time.perf_counter() - began)


def full_steps(config: RunConfig, samples: int) -> int:
    """Calls of ``on_step`` that :func:`measure_full` makes at the most."""
    steps = config.validation.validation_num_inference_steps
    return full_forwards(steps) + chain_steps(samples, steps)
