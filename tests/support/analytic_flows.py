"""Denoisers whose answers, and whose flows, are known in closed form."""

from dataclasses import dataclass, field
from itertools import pairwise

import torch

from core.noise.prediction import add_noise, expand, pair_target
from core.noise.schedule import NoiseSchedule


def predict_from_clean(clean, noisy, t, schedule: NoiseSchedule, kind: str):
    """What a network of this kind predicts if it believes in that clean latent. Not at sigma = 0."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    noise = (noisy - expand(alpha, noisy) * clean) / expand(sigma, noisy)
    return pair_target(clean, noise, alpha=alpha, sigma=sigma, kind=kind)


@dataclass
class Oracle:
    """Knows every item's clean latent and noise; keeps a record of how it was called."""

    clean: torch.Tensor
    noise: torch.Tensor
    schedule: NoiseSchedule
    kind: str
    items: list = field(default_factory=list)
    timesteps: list = field(default_factory=list)
    states: list = field(default_factory=list)

    def __call__(self, noisy, timestep, items):
        self.items.append(items.clone())
        self.timesteps.append(timestep.clone())
        self.states.append(noisy.clone())
        alpha, sigma = self.schedule.alpha(timestep), self.schedule.sigma(timestep)
        return pair_target(self.clean[items], self.noise[items], alpha=alpha, sigma=sigma, kind=self.kind)


@dataclass
class NoiseBlindOracle:
    """Knows every item's clean latent only, and tells the noise from the state that it is shown."""

    clean: torch.Tensor
    schedule: NoiseSchedule
    kind: str

    def __call__(self, noisy, timestep, items):
        return predict_from_clean(self.clean[items], noisy, timestep, self.schedule, self.kind)


@dataclass
class BentDenoiser:
    """A smooth nonlinear network: what it believes depends on state, timestep and item."""

    schedule: NoiseSchedule
    kind: str
    states: list = field(default_factory=list)

    def __call__(self, noisy, timestep, items):
        self.states.append(noisy.clone())
        time = expand(timestep / 1000, noisy)
        return torch.sin(1.7 * noisy + time) * (1 - 0.4 * time) + 0.3 * noisy


@dataclass(frozen=True)
class GaussianFlow:
    """Data of independent elements with one mean and one standard deviation: the flow is a line for each element."""

    schedule: NoiseSchedule
    kind: str
    mean: float = 0.4
    spread: float = 0.5

    def clean_estimate(self, noisy, timestep):
        """`E[x0 | x] = mean + a c^2 / (a^2 c^2 + s^2) (x - a mean)`."""
        a, s = (expand(w, noisy) for w in (self.schedule.alpha(timestep), self.schedule.sigma(timestep)))
        gain = a * self.spread**2 / (a**2 * self.spread**2 + s**2)
        return self.mean + gain * (noisy - a * self.mean)

    def __call__(self, noisy, timestep, items):
        return predict_from_clean(self.clean_estimate(noisy, timestep), noisy, timestep, self.schedule, self.kind)

    def carried(self, state, source, target):
        """Where the exact flow carries a state: its distance from the mean, in standard deviations, does not change."""
        a_u, s_u = (expand(w, state) for w in (self.schedule.alpha(source), self.schedule.sigma(source)))
        a_t, s_t = (expand(w, state) for w in (self.schedule.alpha(target), self.schedule.sigma(target)))
        ratio = ((a_t**2 * self.spread**2 + s_t**2) / (a_u**2 * self.spread**2 + s_u**2)).sqrt()
        return a_t * self.mean + ratio * (state - a_u * self.mean)


@dataclass(frozen=True)
class ScaledFlow:
    """The exact denoiser of Gaussian data with its distance from the mean scaled: below 1 it shrinks."""

    flow: GaussianFlow
    scale: float

    def __call__(self, noisy, timestep, items):
        clean = self.flow.mean + self.scale * (self.flow.clean_estimate(noisy, timestep) - self.flow.mean)
        return predict_from_clean(clean, noisy, timestep, self.flow.schedule, self.flow.kind)


@dataclass(frozen=True)
class FlowMap:
    """Steps of the first-order sampler down a grid follow the exact flow: no discretisation error.

    With ``keep`` below 1 each step leaves that share of the variance only (of data with mean 0).
    """

    flow: GaussianFlow
    grid: torch.Tensor
    keep: float = 1.0

    def __call__(self, noisy, timestep, items):
        schedule = self.flow.schedule
        nodes = torch.cat([torch.zeros(1), self.grid])
        there = nodes[torch.searchsorted(nodes, timestep) - 1]
        a, s = (expand(w, noisy) for w in (schedule.alpha(timestep), schedule.sigma(timestep)))
        b, r = (expand(w, noisy) for w in (schedule.alpha(there), schedule.sigma(there)))
        landed = self.keep**0.5 * self.flow.carried(noisy, timestep, there)
        clean = (landed - r / s * noisy) / (b - a * r / s)
        return predict_from_clean(clean, noisy, timestep, schedule, self.flow.kind)


def euler_factor(sigmas, spread=1.0):
    """What flow-matching Euler multiplies a state by on its way down, for the exact denoiser of data with mean 0."""
    factor = 1.0
    for here, there in pairwise(sigmas):  # x_t = a_t D + s_t (x - a_u D) / s_u with D = gain x
        gain = (1 - here) * spread**2 / ((1 - here) ** 2 * spread**2 + here**2)
        factor *= there / here + gain * ((1 - there) - (1 - here) * there / here)
    return factor


def state_at(clean, noise, t, schedule: NoiseSchedule):
    """The teacher-forced state at timesteps t."""
    return add_noise(clean, noise, alpha=schedule.alpha(t), sigma=schedule.sigma(t))
