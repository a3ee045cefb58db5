"""The full measurement: every metric but those of finished samples, from one pass over short and free-running paths."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.evaluation.chain import band_log_ratio, bands_fit
from core.evaluation.drift import state_metrics
from core.evaluation.epsilon_norm import epsilon_norm
from core.evaluation.paths import Path, free_running_path
from core.evaluation.recovery import recovery_gaps
from core.evaluation.restoring import isotropic_like, restoring
from core.evaluation.short import REACH, Landing, ShortPaths, probe_plans
from core.evaluation.variance import state_log_variance
from core.noise.schedule import NoiseSchedule
from core.runs.drift import DriftRecord

FULL_TARGETS = 10
"""Grid points that short paths end at; all that there are on a short grid."""
NOISE_SEED = 20_231_117
"""Of the isotropic noise of M6, plus the number of the probed timestep."""

Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(noisy, timestep, condition) -> prediction, a row an item; the network in evaluation mode."""


@dataclass(frozen=True, eq=False)
class Material:
    """What is measured on: equal in all arms. Latents are on the network's device.

    Attributes:
        clean: x0 of the pairs.
        noise: e of the pairs; the free-running chains begin with it too.
        condition: of the pairs, a row each.
        training: one latent a training picture.
        grid: the sampler's timesteps, ascending, without 0; without pure noise for an epsilon model.
        schedule: noise schedule.
        kind: what the network predicts.
    """

    clean: Float[Tensor, "pairs c h w"]
    noise: Float[Tensor, "pairs c h w"]
    condition: Float[Tensor, "pairs ..."]
    training: Float[Tensor, "pictures c h w"]
    grid: Float[Tensor, "points"]
    schedule: NoiseSchedule
    kind: str


@torch.inference_mode()
def full_record(predict: Predict, material: Material, *, on_step: Callable[[], None] = lambda: None) -> DriftRecord:
    """M1 to M6 on short paths, V and band energy on free-running ones.

    Args:
        predict: a forward of the network, in evaluation mode.
        material: what it is measured on.
        on_step: called at every forward of the pairs (:func:`full_forwards` of them); an exception that it raises
            ends the measurement.

    Returns:
        A record of scope "full", of step 0 and without finished samples: the caller fills in step, base, chain and
        seconds. On a grid of one point there are no short paths, and on latents too small for them no bands.
    """

    def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        on_step()
        return predict(noisy, timestep, material.condition[items])

    found = {} if len(material.grid) < 2 else _short(denoiser, material)
    free = free_running_path(
        denoiser, material.noise, schedule=material.schedule, kind=material.kind, grid=material.grid
    )
    return DriftRecord(step=0, scope="full", pairs=len(material.clean), **found, **_free(free, material))


def full_forwards(points: int) -> int:
    """How many forwards of all pairs :func:`full_record` makes on a grid of so many points."""
    if points < 2:
        return points
    plans = list(probe_plans(1, torch.arange(1.0, points + 1), REACH, FULL_TARGETS))
    sources, targets = ({float(getattr(plan, end)[0]) for plan in plans} for end in ("source", "target"))
    return sum(plan.longest for plan in plans) + 2 * len(plans) + len(targets - sources) + points


def _short(denoiser: Any, material: Material) -> dict[str, Any]:
    """The short paths' fields of a record."""
    paths = ShortPaths(
        denoiser, material.clean, material.noise, schedule=material.schedule, kind=material.kind, grid=material.grid,
        targets=FULL_TARGETS,
    )  # fmt: skip
    rows = [_at(paths, landing, index) for index, landing in enumerate(paths.landings())]
    columns = {name: tuple(row[name] for row in rows) for name in rows[0]}
    return {**columns, "m1_mean": sum(columns["m1"]) / len(rows)}


def _at(paths: ShortPaths, landing: Landing, index: int) -> dict[str, Any]:
    """The values at one probed timestep, by the record's names."""
    place = landing.target
    drift = landing.rolled - landing.noisy
    push = isotropic_like(drift, NOISE_SEED + index)
    own, true, before = paths.look(landing.rolled, place), paths.true(place), paths.true(landing.source)
    pushed = paths.look(landing.noisy + push, place)
    g0, g1, g2 = recovery_gaps(own.clean, true.clean, before.clean, paths.clean)
    bands = {"bands": band_log_ratio(own.clean, true.clean)} if bands_fit(*paths.clean.shape[-2:]) else {}
    return {
        "grid": landing.timestep,
        **state_metrics(paths, landing),
        "epsilon_norm": epsilon_norm(own.noise, true.noise),
        "g0": g0, "g1": g1, "g2": g2,
        "restoring": restoring(own.clean, true.clean, drift),
        "restoring_noise": restoring(pushed.clean, true.clean, push),
        **bands,
    }  # fmt: skip


def _free(path: Path, material: Material) -> dict[str, Any]:
    """The free-running chain's fields: against the training latents, for nothing is paired."""
    m2 = material.training.float().square().mean().item()
    place = material.schedule.place(torch.tensor(path.timesteps))
    weights = zip(path.states, place.alpha.tolist(), place.sigma.tolist(), strict=True)
    has_bands = bands_fit(*material.training.shape[-2:])
    return {
        "free_grid": path.timesteps,
        "free_v": tuple(state_log_variance(states, alpha, sigma, m2) for states, alpha, sigma in weights),
        "free_bands": tuple(band_log_ratio(seen, material.training) for seen in path.estimates) if has_bands else (),
    }
