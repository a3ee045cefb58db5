"""The options of what is drawn and measured while training."""

from typing import Literal

from core.config.fields import MOST_STEPS, Block, Texts, option


class ValidationOptions(Block):
    """What is drawn and measured while training."""

    validation_prompts: Texts = option(
        (),
        "Prompts that are drawn before the first step, every validation_steps and at the end, as they stand; none "
        "means no pictures.",
        label="Validation prompts",
        basic=True,
    )
    num_validation_images: int = option(
        1,
        "Pictures per prompt; picture i starts from the noise of seed validation_seed + i in every arm and at every "
        "step.",
        label="Pictures per prompt",
        unit="pictures",
        ge=1,
        le=64,
    )
    validation_steps: int = option(
        100,
        "Optimizer steps between samples and drift probes; 0 draws only before the first step and at the end.",
        label="Validate every",
        unit="optimizer steps",
        ge=0,
        le=MOST_STEPS,
    )
    validation_num_inference_steps: int = option(
        28,
        "Sampling steps of a validation picture and points of the drift probe's timestep grid.",
        label="Sampling steps",
        unit="sampling steps",
        ge=1,
        le=1000,
    )
    validation_guidance_scale: float = option(
        5.0,
        "Classifier-free guidance of the validation pictures; 1 is none, higher follows the prompt more and varies "
        "less.",
        label="Guidance",
        ge=1.0,
        le=30.0,
    )
    validation_seed: int = option(
        42,
        "Seed of the first picture of every prompt and of the drift probe's noise, apart from the training seed.",
        label="Validation seed",
        ge=0,
        le=2**32 - 1,
    )
    drift_pairs: int = option(
        16,
        "Pairs of teacher-forced and self-generated states that a drift probe compares; more is steadier and slower, "
        "0 leaves the probe out.",
        label="Drift probe pairs",
        unit="pairs",
        ge=0,
        le=4096,
    )
    drift_samples: int = option(
        16,
        "Samples of the instance prompts, without guidance, that each drift probe draws and scores: V at the end of "
        "the chain, diversity, the drift alarm; more is steadier and slower, 0 leaves them out.",
        label="Scored samples",
        unit="samples",
        ge=0,
        le=4096,
    )
    report_to: Literal["none", "tensorboard", "wandb", "trackio"] = option(
        "none",
        "Tracker that gets every curve of the run beside its own journals, under logs/ of the run folder; each needs "
        "the extra of its name, and none sends anything anywhere unless asked to.",
        label="Tracker",
    )
