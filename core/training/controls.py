"""Two controls without rollout: noise that the network sees and the training target does not know.

*Input perturbation* (Ning et al. 2023, arXiv 2301.11706): the network sees ``x_t`` built with the noise ``e + g e'``,
``e'`` fresh, while the target keeps ``e``. The same as ``x_t + sigma g e'``.

*Placebo*, matched noise: where a rollout would carry an item, its teacher-forced state gets isotropic Gaussian noise as
large as the drift that a finished rollout run measured in the same optimizer step, and counts as rolled from there on:
same plan, same target rule, same loss. What a rollout does beyond noise of its size shows against it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from core.config.flat import difference
from core.config.run import RunConfig
from core.config.spec import show_value
from core.errors import RunError
from core.rollout.plan import RolloutPlan
from core.runs.folder import RunFolder
from core.runs.records import StepRecord, read_records
from core.runs.workspace import is_slug
from core.training.objective import States
from core.training.streams import stream

Kind = Literal["perturbation", "placebo"]


@dataclass(frozen=True)
class Disturbance:
    """The noise that a control adds in one micro-step.

    Attributes:
        kind: which control.
        noise: standard normal, for every item.
        size: "perturbation": g, in units of the item's own noise. "placebo": rms relative to sqrt(alpha² m2 + sigma²).
    """

    kind: Kind
    noise: Float[Tensor, "batch c h w"]
    size: float

    def to(self, device: torch.device) -> "Disturbance":
        """On a device."""
        return replace(self, noise=self.noise.to(device, non_blocking=True))


@dataclass(frozen=True)
class Control:
    """Which control a training has, and how large its noise is.

    Attributes:
        kind: which.
        constant: g of the input perturbation; for a placebo 0.
        drift: for a placebo, the measured drift (M1, relative) of every optimizer step.
    """

    kind: Kind
    constant: float = 0.0
    drift: Sequence[float] | None = None

    def size_at(self, step: int) -> float:
        """Of the noise in the optimizer step that begins at ``step``, counted from 0."""
        return self.constant if self.drift is None else self.drift[step]

    def draw(self, shape: torch.Size, seed: int, step: int, micro: int) -> Disturbance:
        """The noise of a micro-step's global batch, from the control's own stream."""
        noise = torch.randn(shape, generator=stream(seed, self.kind, step, micro))
        return Disturbance(self.kind, noise, self.size_at(step))


def control_of(config: RunConfig, folder: RunFolder) -> Control | None:
    """The control that a run's configuration asks for; None without one.

    Args:
        config: of the run.
        folder: of the run; a placebo's rollout run lies beside it.

    Raises:
        RunError: the rollout run is missing, not done, or another training than this one but for the rollout itself.
    """
    strength = config.training.input_perturbation
    if strength > 0:
        return Control("perturbation", constant=strength)
    name = config.training.placebo_of
    return None if name is None else Control("placebo", drift=measured_drift(config, name, folder))


def measured_drift(config: RunConfig, name: str, folder: RunFolder) -> tuple[float, ...]:
    """The drift that a placebo's rollout run measured in each of its optimizer steps.

    It is one number a step, the rms over the step's rolled items: the placebo is matched over these, not item by item.
    A rollout drifts more in some items than in others, a placebo in all alike.

    A step without a rolled item has no drift and needs none.

    Args:
        config: of the placebo.
        name: of the rollout run's folder.
        folder: of the placebo.

    Raises:
        RunError: in one sentence, what is wrong with that run.
    """
    sibling = RunFolder(folder.path.parent / name)
    if not is_slug(name) or sibling.path == folder.path or not sibling.config_path.is_file():
        raise RunError(f"placebo_of must be the name of a run folder beside {folder.name}, got {name!r}")
    _check_same(config, sibling)
    steps = config.training.max_train_steps
    records = {record.step: record for record in read_records(StepRecord, sibling.metrics_path)}
    taken = sum(step in records for step in range(1, steps + 1))
    if taken < steps:
        rule = "placebo_of must be a run that is done"
        raise RunError(f"{rule}, got {name} with {taken} of {steps} steps; train that run first")
    found = []
    for step in range(1, steps + 1):
        drift = records[step].rollout_drift
        if records[step].rolled > 0 and (drift is None or not math.isfinite(drift)):
            rule = "placebo_of must be a run whose drift was measured"
            raise RunError(f"{rule}, got {name} without a number at step {step}")
        found.append(0.0 if drift is None else drift)
    return tuple(found)


def _check_same(config: RunConfig, sibling: RunFolder) -> None:
    other = {name: pair for name, pair in difference(config, sibling.config()).items() if name != "placebo_of"}
    if other:
        parts = (f"{name} {show_value(theirs)} in place of {show_value(own)}" for name, (own, theirs) in other.items())
        raise RunError(f"placebo_of must be the same training with rollout, got {sibling.name} with {', '.join(parts)}")
    if sibling.config().training.placebo_of is not None:
        raise RunError(f"placebo_of must be a rollout, got {sibling.name}, which is a placebo itself")


def not_rolled(plan: RolloutPlan) -> RolloutPlan:
    """The same targets, every item teacher-forced."""
    return RolloutPlan(plan.target, plan.target, torch.zeros_like(plan.steps))


def disturbed(states: States, disturbance: Disturbance, plan: RolloutPlan, m2: float) -> States:
    """Teacher-forced states with a control's noise in what the network sees.

    Args:
        states: all teacher-forced.
        disturbance: what is added.
        plan: "placebo": the items with steps are those that get noise, and count as rolled.
        m2: mean square of the training latents.
    """
    if disturbance.kind == "perturbation":
        scale = states.sigma * disturbance.size
        return replace(states, noisy=states.noisy + _each(scale, states.noisy) * disturbance.noise)
    own = plan.rolled.nonzero().flatten().to(states.own.device)
    power = states.alpha.square() * m2 + states.sigma.square()
    scale = torch.zeros_like(power).index_copy(0, own, power[own].sqrt() * disturbance.size)
    noisy = states.noisy + _each(scale, states.noisy) * disturbance.noise
    return replace(states, noisy=noisy, rolled=plan.rolled.to(own.device), own=own)


def _each(scale: Tensor, like: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (like.dim() - 1)).to(like.dtype)
