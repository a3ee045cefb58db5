"""Noise schedules: how much clean latent and how much noise a state holds at a timestep.

Everywhere `x_t = alpha(t) * clean + sigma(t) * noise`, timestep 0 is clean and large timesteps are noisy. Two forms:

- variance preserving (Ho et al. 2020; Song et al. 2021): `alpha^2 + sigma^2 = 1`, given by a table of `alphas_cumprod`;
- flow matching (Lipman et al. 2023; Liu et al. 2023): `sigma = t / num_timesteps`, `alpha = 1 - sigma`.

Between the integer timesteps of a table the angle `atan2(sigma, alpha)` is linear in the timestep. Unlike the
logarithm of the signal-to-noise ratio it is finite at zero terminal SNR (Lin et al. 2024), where alpha is exactly 0
and sigma exactly 1.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float, Real
from torch import Tensor

from core.errors import ConfigError, Problem

Form = Literal["variance_preserving", "flow_matching"]

FLOW_SCHEDULERS = frozenset(
    {"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler", "FlowMatchLCMScheduler"}
)
"""Class names of diffusers schedulers that have no betas and `sigma = t / num_timesteps`."""

SMALLEST = 1e-12
"""Stands for an alpha or sigma of exactly 0 in a logarithm: finite, and far below what float32 can tell from 0."""


@dataclass(frozen=True)
class Place:
    """Where some items stand on a noise schedule, each at its own timestep.

    Attributes:
        timestep: (items,), 0 = clean, may be fractional.
        alpha: (items,), share of the clean latent, 0..1.
        sigma: (items,), share of the noise, 0..1.
    """

    timestep: Float[Tensor, " items"]
    alpha: Float[Tensor, " items"]
    sigma: Float[Tensor, " items"]

    @property
    def half_log_snr(self) -> Float[Tensor, " items"]:
        """`lambda = log(alpha / sigma)` (Lu et al. 2022), finite at both ends: see `SMALLEST`."""
        return torch.log(self.alpha.clamp_min(SMALLEST)) - torch.log(self.sigma.clamp_min(SMALLEST))

    @property
    def noise_share(self) -> Float[Tensor, " items"]:
        """`sigma / (alpha + sigma)`: 0 = clean, 1 = pure noise; sigma of the flow-matching path with the same SNR."""
        return self.sigma / (self.alpha + self.sigma)

    def first(self, count: int) -> "Place":
        """The first `count` items."""
        return Place(self.timestep[:count], self.alpha[:count], self.sigma[:count])


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Alpha and sigma of every timestep. Made by one of the three class methods.

    Attributes:
        form: variance_preserving or flow_matching.
        num_timesteps: length of the schedule, 1000 for all common models.
    """

    form: Form
    num_timesteps: int
    _clean_angle: Tensor | None = field(default=None, repr=False)
    _copies: dict[torch.device, Tensor] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def variance_preserving(cls, alphas_cumprod: Float[Tensor, " timesteps"]) -> "NoiseSchedule":
        """The schedule with `alpha^2 = alphas_cumprod`.

        Args:
            alphas_cumprod: (num_timesteps,), at least two values in 0..1 that fall strictly; a last value of 0 is
                zero terminal SNR.

        Raises:
            ValueError: for any other table.
        """
        table = alphas_cumprod.detach().to("cpu", torch.float64)
        if table.ndim != 1 or len(table) < 2:
            raise ValueError(
                f"alphas_cumprod must hold at least two values in one dimension, got shape {tuple(table.shape)}"
            )
        if not bool(((table >= 0) & (table <= 1)).all()) or not bool((table.diff() < 0).all()):
            raise ValueError("alphas_cumprod must lie in 0..1 and fall strictly from the clean to the noisy end")
        return cls("variance_preserving", len(table), torch.atan2(table.sqrt(), (1 - table).sqrt()))

    @classmethod
    def flow_matching(cls, num_timesteps: int = 1000) -> "NoiseSchedule":
        """The straight path: `sigma(t) = t / num_timesteps`, `alpha = 1 - sigma`; the network receives t."""
        if num_timesteps < 1:
            raise ValueError(f"num_timesteps must be at least 1, got {num_timesteps}")
        return cls("flow_matching", num_timesteps)

    @classmethod
    def from_diffusers(cls, scheduler: Any) -> "NoiseSchedule":
        """The noise schedule that a diffusers scheduler's model was trained with.

        Flow matching when the scheduler is a FlowMatch one, or its config says `use_flow_sigmas` or predicts flow:
        such a scheduler may still carry a table of betas, which then means nothing. Else variance preserving by its
        betas. With `rescale_betas_zero_snr` the last alpha is exactly 0: some schedulers store 2^-24 there only to
        keep their sigmas finite. A timestep shift concerns which timesteps are visited, not the noise at one of
        them, and is not read.

        Args:
            scheduler: any diffusers scheduler object.

        Raises:
            ConfigError: if the scheduler's class and config tell neither.
        """
        name, config = type(scheduler).__name__, getattr(scheduler, "config", {})
        classes = {base.__name__ for base in type(scheduler).__mro__}
        if (
            classes & FLOW_SCHEDULERS
            or config.get("use_flow_sigmas")
            or config.get("prediction_type") == "flow_prediction"
        ):
            return cls.flow_matching(int(config["num_train_timesteps"]))
        table = getattr(scheduler, "alphas_cumprod", None)
        if table is None or config.get("timestep_type") == "continuous":
            rule = "have a scheduler with betas (variance preserving) or a flow-matching one"
            message = f"pretrained_model_name_or_path must {rule}, got {name}"
            raise ConfigError((Problem("pretrained_model_name_or_path", message),))
        table = table.detach().to("cpu", torch.float64).clone()
        if config.get("rescale_betas_zero_snr"):
            table[-1] = 0.0
        return cls.variance_preserving(table)

    @property
    def last(self) -> int:
        """The noisiest timestep: num_timesteps (sigma = 1) for flow matching, else num_timesteps - 1."""
        return self.num_timesteps if self._clean_angle is None else self.num_timesteps - 1

    @property
    def ends_in_pure_noise(self) -> bool:
        """Whether alpha is exactly 0 at `last`, where an epsilon prediction tells nothing about the clean latent."""
        return self._clean_angle is None or float(self._clean_angle[-1]) == 0.0

    def alpha(self, t: Real[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Share of the clean latent at timesteps t in 0..last, integer or fractional: float32, or float64 if t is."""
        return self._at(t)[0]

    def sigma(self, t: Real[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """Share of the noise at timesteps t in 0..last, integer or fractional: float32, or float64 if t is."""
        return self._at(t)[1]

    def place(self, t: Float[Tensor, " items"]) -> Place:
        """Timestep, alpha and sigma together, in the precision of t."""
        alpha, sigma = self._at(t)
        return Place(t, alpha.to(t.dtype), sigma.to(t.dtype))

    def place_at(self, noise_share: Float[Tensor, " items"]) -> Place:
        """The inverse of `Place.noise_share`: where `sigma / (alpha + sigma)` has the given value."""
        if self._clean_angle is None:
            return Place(noise_share * self.num_timesteps, 1 - noise_share, noise_share)
        angle = torch.atan2(1 - noise_share, noise_share)
        rising = self._table(angle.device).flip(0)
        upper = torch.searchsorted(rising, angle.to(rising.dtype).contiguous()).clamp(1, self.num_timesteps - 1)
        below, above = rising[upper - 1], rising[upper]
        timestep = self.last - (upper - 1 + (angle - below) / (above - below))
        return Place(timestep.to(angle.dtype), torch.sin(angle), torch.cos(angle))

    def _at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        exact = _exact(t.device)
        result = torch.float64 if t.dtype == torch.float64 else torch.float32
        time = t.to(exact)
        if self._clean_angle is None:
            sigma = time / self.num_timesteps
            return (1 - sigma).to(result), sigma.to(result)
        table = self._table(t.device)
        lower = time.floor().clamp(0, self.num_timesteps - 2)
        index, part = lower.long(), time - lower
        angle = (1 - part) * table[index] + part * table[index + 1]
        return torch.sin(angle).to(result), torch.cos(angle).to(result)

    def _table(self, device: torch.device) -> Tensor:
        assert self._clean_angle is not None
        if device not in self._copies:
            self._copies[device] = self._clean_angle.to(_exact(device)).to(device)
        return self._copies[device]


def _exact(device: torch.device) -> torch.dtype:
    """The most exact type that the device has."""
    return torch.float32 if device.type == "mps" else torch.float64
