"""What a drift measurement found, as ``drift.jsonl`` holds it. Formulas: ``core.evaluation``.

NaN stands for a number that was not finite when it was written (the journal has null there); an empty tuple for a
metric that the measurement did not take.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, cast, get_args

from core.runs import fields

Scope = Literal["checkpoint", "full", "sweep"]
"""checkpoint: the cheap subset while training; full: everything, on demand; sweep: finished samples alone, drawn with
other sampling steps or guidance than the run's own."""


@dataclass(frozen=True)
class ChainScores:
    """Finished samples of the instance prompts against the training latents (M3 and M8).

    Attributes:
        samples: How many were drawn; the same noises in every arm.
        inference_steps: Sampling steps.
        guidance: Classifier-free guidance; 1 is none.
        v: ln(mean samples² / mean clean²), in nats; below 0 shrunk. The sampler's own error is in it.
        v_channels: The same by channel.
        mean_channels: Mean of the samples minus that of the training latents, by channel, in latent units.
        bands: ln of the energy over the training latents', by frequency band, coarse to fine.
        high: Energy of the finest bands over the training latents'; below 1 smoother.
        nearest: Mean distance to the nearest training latent, rms per element.
        nearest_least: The smallest of these distances: 0 is a copy.
        diversity: Mean distance of two samples over that of two training latents.
        energy_distance: Energy distance to the training latents.
        energy_p: Its permutation p: how often samples and training latents dealt out at random lie as far apart.
        adherence: Mean |pixel - colour| over the border where a prompt asks for a flat background, 0..1; None where
            the base model's folder names no background colours.
    """

    samples: int
    inference_steps: int
    guidance: float
    v: float = math.nan
    v_channels: tuple[float, ...] = ()
    mean_channels: tuple[float, ...] = ()
    bands: tuple[float, ...] = ()
    high: float = math.nan
    nearest: float = math.nan
    nearest_least: float = math.nan
    diversity: float = math.nan
    energy_distance: float = math.nan
    energy_p: float = math.nan
    adherence: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads what ``asdict`` gave; what is missing is NaN or empty."""
        plain = ("v", "high", "nearest", "nearest_least", "diversity", "energy_distance", "energy_p", "guidance")
        listed = ("v_channels", "mean_channels", "bands")
        values: dict[str, Any] = {name: fields.number(data, name) for name in plain}
        values |= {name: fields.numbers(data, name) for name in listed}
        return cls(
            samples=fields.count(data, "samples"),
            inference_steps=fields.count(data, "inference_steps"),
            adherence=fields.optional(data, "adherence"),
            **values,
        )


@dataclass(frozen=True)
class DriftRecord:
    """One measurement, a line of ``drift.jsonl``. Short paths and free-running ones never share a curve.

    Attributes:
        step: Optimizer steps taken before it.
        scope: How much was measured.
        base: Whether the LoRA was off: the base model's own drift, for reference.
        grid: Timesteps at which short self-generated paths ended, clean end first; the next eleven have a value each.
        m1: M1, paired drift (relative rms).
        v: V of the states there (nats).
        v_channels: V by channel, a row a timestep.
        lag: M2, grid steps; above 0 noisier than the noise schedule says (behind), below 0 ahead of it.
        lag_residual: What signal and noise do not explain, relative rms.
        epsilon_norm: M3b, relative.
        bands: M4, a row a timestep, coarse to fine (nats).
        g0: Recovery gap G0 (squared latent units).
        g1: G1.
        g2: G2; 0 for an exact denoiser.
        restoring: M6 along the model's own drift.
        restoring_noise: M6 along isotropic noise of the same size; ideally near 0.
        m1_mean: Mean of ``m1``.
        free_grid: Timesteps of the free-running chain, clean end first; the next two have a value each.
        free_v: V of its states (nats).
        free_bands: ln of band energy of its clean estimates over the training latents', a row a timestep.
        chain: Scores of finished samples.
        pairs: Pairs of the short paths.
        seconds: What the measurement took.
    """

    step: int
    scope: Scope = "checkpoint"
    base: bool = False
    grid: tuple[float, ...] = ()
    m1: tuple[float, ...] = ()
    v: tuple[float, ...] = ()
    v_channels: tuple[tuple[float, ...], ...] = ()
    lag: tuple[float, ...] = ()
    lag_residual: tuple[float, ...] = ()
    epsilon_norm: tuple[float, ...] = ()
    bands: tuple[tuple[float, ...], ...] = ()
    g0: tuple[float, ...] = ()
    g1: tuple[float, ...] = ()
    g2: tuple[float, ...] = ()
    restoring: tuple[float, ...] = ()
    restoring_noise: tuple[float, ...] = ()
    m1_mean: float = math.nan
    free_grid: tuple[float, ...] = ()
    free_v: tuple[float, ...] = ()
    free_bands: tuple[tuple[float, ...], ...] = ()
    chain: ChainScores | None = None
    pairs: int = 0
    seconds: float = math.nan

    @property
    def v_end(self) -> float:
        """V at the end of the chain; NaN where no samples were drawn."""
        return math.nan if self.chain is None else self.chain.v

    @property
    def diversity(self) -> float:
        """Diversity of finished samples; NaN where none were drawn."""
        return math.nan if self.chain is None else self.chain.diversity

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads a journal's record.

        Raises:
            ValueError: If it has no step.
        """
        chain, scope = data.get("chain"), data.get("scope")
        listed = ("grid", "m1", "v", "lag", "lag_residual", "epsilon_norm", "g0", "g1", "g2", "restoring")
        listed += ("restoring_noise", "free_grid", "free_v")
        values: dict[str, Any] = {name: fields.numbers(data, name) for name in listed}
        values |= {name: fields.rows(data, name) for name in ("v_channels", "bands", "free_bands")}
        for grid, names in (("grid", _SHORT), ("free_grid", _FREE)):
            values |= _fitting(values, grid, names) if grid in data else {}
        return cls(
            step=fields.step(data),
            scope=cast("Scope", scope) if scope in get_args(Scope) else "checkpoint",
            base=data.get("base") is True,
            m1_mean=fields.number(data, "m1_mean"),
            chain=ChainScores.from_dict(chain) if isinstance(chain, dict) and "samples" in chain else None,
            pairs=fields.count(data, "pairs"),
            seconds=fields.number(data, "seconds"),
            **values,
        )

    def to_dict(self) -> dict[str, Any]:
        """What goes into the journal; metrics that were not taken are left out."""
        return {name: value for name, value in asdict(self).items() if value not in ((), None)}


_SHORT = (
    "m1", "v", "v_channels", "lag", "lag_residual", "epsilon_norm", "bands", "g0", "g1", "g2", "restoring",
    "restoring_noise",
)  # fmt: skip
_FREE = ("free_v", "free_bands")


def _fitting(values: Mapping[str, Any], grid: str, names: tuple[str, ...]) -> dict[str, Any]:
    """Timesteps and the metrics that have a value at each; metrics of another length are as if not taken."""
    points = values[grid] if all(map(math.isfinite, values[grid])) else ()
    return {grid: points} | {name: values[name] if len(values[name]) == len(points) else () for name in names}
