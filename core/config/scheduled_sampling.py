"""The options of the rollout. Their help texts are the reference: what an option means is what they say.

Follows Bengio et al. 2015 (scheduled sampling) for diffusion: the model is carried by its own predictions from
a noisier ``source`` timestep to the ``target`` timestep, and trained on where it lands.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from core.config.fields import MOST_STEPS, Block, option

LONGEST_SCHEDULE = 1000
REACH_ERROR = "rollout_reach"


class ScheduledSamplingConfig(Block):
    """How far, how often and how items are rolled out, and what they are then taught. K = 0 is the one off switch."""

    max_step_offset: int = option(
        0,
        "K, the longest rollout: each item draws its own length k from 0 to K; 0 turns rollout off and keeps the "
        "other rollout options for later.",
        label="Longest rollout K",
        unit="rollout steps",
        basic=True,
        ge=0,
        le=LONGEST_SCHEDULE,
    )
    stride: Annotated[int, Field(ge=1, le=LONGEST_SCHEDULE)] | Literal["inference"] = option(
        1,
        "Training timesteps per rollout step: 1 covers K timesteps only, a small part of one sampling step; "
        "inference takes the grid of the validation sampler at validation_num_inference_steps, and items below its "
        "first point stay teacher-forced.",
        label="Stride",
        unit="timesteps",
        basic=True,
    )
    probability: float = option(
        0.0,
        "Chance that an item is given a rollout, used when ramp_steps is 0; k is drawn from 0 to K, so probability 1 "
        "still leaves 1 in K+1 items teacher-forced (uniform strategy).",
        label="Probability",
        basic=True,
        ge=0.0,
        le=1.0,
    )
    ramp_steps: int = option(
        0,
        "Optimizer steps over which the probability goes from prob_start to prob_end, counted from start_step; above "
        "0 it replaces probability, 0 means no ramp.",
        label="Ramp length",
        unit="optimizer steps",
        basic=True,
        ge=0,
        le=MOST_STEPS,
    )
    prob_start: float = option(
        0.0,
        "Probability at the beginning of the ramp; 0 means 0, not unset; without a ramp it is not used.",
        label="Ramp from",
        basic=True,
        ge=0.0,
        le=1.0,
    )
    prob_end: float = option(
        0.5,
        "Probability at the end of the ramp and from there on; 0 means 0, not unset; without a ramp it is not used.",
        label="Ramp to",
        basic=True,
        ge=0.0,
        le=1.0,
    )
    start_step: int = option(
        0,
        "Nothing is rolled out before this optimizer step, with or without a ramp.",
        label="First step with rollout",
        unit="optimizer steps",
        basic=True,
        ge=0,
        le=MOST_STEPS,
    )
    ramp_shape: Literal["linear", "cosine"] = option(
        "linear",
        "How the probability moves along the ramp: linear at a constant rate, cosine slowly at both ends and faster "
        "in the middle.",
        label="Ramp shape",
        basic=True,
    )
    strategy: Literal["uniform", "biased_early", "biased_late"] = option(
        "uniform",
        "How k is drawn: uniform takes every length from 0 to K alike, biased_early prefers short rollouts, "
        "round(K·u²), biased_late long ones, round(K·(1-u²)).",
        label="Length strategy",
        basic=True,
    )
    sampler: Literal["unipc", "euler", "dpm", "rk4"] = option(
        "unipc",
        "Solver that takes the rollout steps, for every prediction type; unipc, euler and dpm call the model once a "
        "step, rk4 four times, and not in visited mode.",
        label="Sampler",
        basic=True,
    )
    order: int = option(
        2,
        "Order of unipc and dpm, higher is more exact over long strides; euler and rk4 have their own, and a "
        "rollout's first steps are of lower order.",
        label="Sampler order",
        basic=True,
        ge=1,
        le=3,
    )
    mode: Literal["fresh", "visited"] = option(
        "fresh",
        "fresh rolls out without gradient and trains on the landing state, k more forwards an item; "
        "visited trains on every state that the rollout visits, with no extra forwards, and only timestep, picture "
        "and noise of the anchor are paired between arms.",
        label="Mode",
        basic=True,
    )
    target: Literal["anchored", "posterior", "original"] = option(
        "anchored",
        "What the model is taught where it arrived: anchored points back to the clean picture, and smooths where "
        "rollouts start above the level shown on the page; posterior points to the mean of the training pictures it "
        "could be, and pulls towards training images; original keeps the noise's target, and the drift.",
        label="Training target",
        basic=True,
    )
    guidance_scale: float = option(
        1.0,
        "Classifier-free guidance inside the rollout; 1 is none, above 1 every rollout step costs two forwards an "
        "item; must be 1 in visited mode.",
        label="Rollout guidance",
        basic=True,
        ge=1.0,
        le=30.0,
    )
    reflexflow: bool | None = option(
        None,
        "ReflexFlow's loss on rolled items, for flow matching only; unset turns it on by itself for flow matching as "
        "soon as rollout is on; costs one more forward a rolled state.",
        label="ReflexFlow",
        basic=True,
    )
    reflexflow_alpha: float = option(
        1.0,
        "ReflexFlow: how strongly the squared error is weighted towards the elements where the rolled state changed "
        "the prediction; 0 weights all alike.",
        label="ReflexFlow alpha",
        basic=True,
        ge=0.0,
        le=1000.0,
    )
    reflexflow_beta1: float = option(
        10.0,
        "ReflexFlow: weight of the anti-drift direction loss, which points from the rolled state to the clean picture; "
        "at the default 10 it outweighs the squared error, 0 leaves it out.",
        label="ReflexFlow beta 1",
        basic=True,
        ge=0.0,
        le=1000.0,
    )
    reflexflow_beta2: float = option(
        1.0,
        "ReflexFlow: weight of the re-weighted squared error, which replaces a rolled item's plain squared error.",
        label="ReflexFlow beta 2",
        basic=True,
        ge=0.0,
        le=1000.0,
    )

    @property
    def highest_probability(self) -> float:
        """The largest probability that the ramp, or the constant, can reach, given enough optimizer steps."""
        return max(self.prob_start, self.prob_end) if self.ramp_steps > 0 else self.probability

    @property
    def enabled(self) -> bool:
        """Whether any item can ever be rolled out: K > 0 and a reachable probability above 0."""
        return self.max_step_offset > 0 and self.highest_probability > 0

    @model_validator(mode="after")
    def _fits_some_noise_schedule(self) -> "ScheduledSamplingConfig":
        """Refuses rollouts that no noise schedule can hold; a run configuration checks against its own."""
        problem = reach_problem(self.max_step_offset, self.stride, LONGEST_SCHEDULE)
        if problem is not None:
            raise PydanticCustomError(REACH_ERROR, "{text}", {"text": problem})
        return self


def reach_problem(max_step_offset: int, stride: int | str, last: int) -> str | None:
    """Why a rollout of K steps does not fit into a noise schedule, or None when it does.

    Args:
        max_step_offset: K.
        stride: Timesteps per rollout step; ``"inference"`` is not judged here.
        last: The noisiest timestep: 999 for variance preserving, 1000 for flow matching.
    """
    if isinstance(stride, str) or max_step_offset * stride <= last:
        return None
    return (
        f"scheduled_sampling_max_step_offset × scheduled_sampling_stride must be at most {last} (the length of the "
        f"noise schedule), "
        f"got {max_step_offset} × {stride} = {max_step_offset * stride}; lower one of them"
    )
