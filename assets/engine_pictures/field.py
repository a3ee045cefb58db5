"""A data set of three numbers: small enough to see the model that could not be better."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from core.noise.schedule import NoiseSchedule
from core.rollout.engine import RolloutResult, roll
from core.rollout.plan import RolloutPlan
from core.rollout.posterior import PosteriorMean
from core.rollout.target import training_target

DATA = (-1.0, 0.2, 1.0)
"""The clean latents: three numbers."""
SCHEDULE = NoiseSchedule.flow_matching()
KIND = "flow_matching"
NOISE = 0.2
CLEAN = 1.0
"""The pair that the pictures follow."""
TARGET, STRIDE = 300, 100


def posterior_mean() -> PosteriorMean:
    """Over the whole data set."""
    latents = torch.tensor(DATA)[:, None]
    return PosteriorMean(latents, [(torch.arange(len(DATA)), torch.ones(len(DATA)))], torch.device("cpu"))


@dataclass
class ExactField:
    """The optimal denoiser of the data set (Karras et al. 2022, appendix B.3).

    Attributes:
        path: timestep and state of every call of one item.
    """

    path: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self, noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        self.path.append((float(timestep[0]), float(noisy[0, 0])))
        where = {"alpha": SCHEDULE.alpha(timestep), "sigma": SCHEDULE.sigma(timestep)}
        mean = posterior_mean()(noisy, **where, group=torch.zeros(len(noisy), dtype=torch.long)).clean
        return training_target("anchored", noisy, mean, torch.zeros_like(noisy), **where, kind=KIND)


def rolled_path(steps: int) -> tuple[list[tuple[float, float]], RolloutResult]:
    """A rollout of the pair by the exact field, and every state that it went through, the landing included."""
    exact, target = ExactField(), torch.tensor([TARGET])
    plan = RolloutPlan(source=target + steps * STRIDE, target=target, steps=torch.tensor([steps]))
    clean, noise = torch.tensor([[CLEAN]]), torch.tensor([[NOISE]])
    result = roll(exact, clean, noise, plan, schedule=SCHEDULE, kind=KIND, sampler="euler")
    return [*exact.path, (float(TARGET), float(result.rolled[0, 0]))], result
