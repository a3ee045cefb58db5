"""Whole paths on the sampling grid: the true one of each pair, and the model's own from pure noise to clean."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from core.evaluation.view import look, view_of
from core.noise.denoiser import Denoiser
from core.noise.prediction import check_kind
from core.noise.schedule import NoiseSchedule, Place
from core.rollout.journey import in_float, precise, state_at
from core.rollout.samplers import build_sampler
from core.rollout.samplers.base import Memory, Model


@dataclass(frozen=True, eq=False)
class Path:
    """States at every point of the grid and what the model sees in them, clean end first, float32.

    Attributes:
        timesteps: (points,), ascending.
        states: (points, n, c, h, w).
        estimates: alike, D(x, t). The first is where sampling ends: with the clean estimate of its cleanest grid
            point, to which every sampler's last step (to sigma = 0) leads.
    """

    timesteps: tuple[float, ...]
    states: Float[Tensor, "points n c h w"]
    estimates: Float[Tensor, "points n c h w"]


@torch.inference_mode()
def teacher_forced_path(
    denoiser: Denoiser, clean: Float[Tensor, "n c h w"], noise: Float[Tensor, "n c h w"], *,
    schedule: NoiseSchedule, kind: str, grid: Float[Tensor, "points"],
) -> Path:  # fmt: skip
    """The true states `alpha x0 + sigma e` of each pair, and what the model sees in them: one forward a grid point.

    Args:
        denoiser: in evaluation mode; ``items`` are the pairs.
        clean: x0.
        noise: e, equal in all arms.
        schedule: noise schedule.
        kind: what the denoiser predicts.
        grid: the sampler's timesteps, ascending, without 0.

    Raises:
        ValueError: kind is unknown, or the grid is empty or reaches pure noise with an epsilon prediction.
    """
    clean, noise = in_float(clean, noise)
    items = torch.arange(len(clean), device=clean.device)
    states, estimates = [], []
    for place in _places(grid, clean, schedule, kind):
        states.append(state_at(place, clean, noise))
        estimates.append(look(denoiser, states[-1], place, items, kind).clean)
    return _path(grid, states, estimates)


@torch.inference_mode()
def free_running_path(
    denoiser: Denoiser, noise: Float[Tensor, "n c h w"], *, schedule: NoiseSchedule, kind: str,
    grid: Float[Tensor, "points"], sampler: str = "euler", order: int = 2,
) -> Path:  # fmt: skip
    """The model's own states from pure noise, down the whole grid.

    It begins as diffusers pipelines do, with the noise itself at the top of the grid, whatever alpha is there. States
    are carried in float64 where the device has it, and are shown to the network in float32. A state is the one that
    the model is asked about: UniPC corrects it afterwards, within the next step.

    Args:
        denoiser: in evaluation mode; ``items`` are the noises.
        noise: e, equal in all arms.
        schedule: noise schedule.
        kind: what the denoiser predicts.
        grid: the sampler's timesteps, ascending, without 0.
        sampler: a name in SAMPLERS.
        order: 1..3, for samplers that take one.

    Raises:
        ValueError: kind, sampler or order is unknown, or the grid is empty or reaches pure noise with an epsilon
            prediction.
    """
    stepper = build_sampler(sampler, order)
    noise = in_float(noise, noise)[0]
    items = torch.arange(len(noise), device=noise.device)
    heard: list[Tensor] = []

    def listening(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        prediction = denoiser(noisy, timestep, items)
        heard.append(prediction)
        return prediction

    model = Model(listening, items, schedule=schedule, kind=kind, dtype=noise.dtype)
    places = _places(grid, noise, schedule, kind)
    memory: Memory = ()
    state = precise(noise)
    states, estimates = [], []
    for index in range(len(places) - 1, -1, -1):
        states.append(state.to(noise.dtype))
        if index > 0:
            heard.clear()
            state, memory = stepper.step(model, state, places[index], places[index - 1], memory)
            seen = view_of(heard[0], states[-1], places[index], kind)  # every sampler first asks where it stands
        else:
            seen = look(denoiser, states[-1], places[0], items, kind)
        estimates.append(seen.clean)
    return _path(grid, states[::-1], estimates[::-1])


def _places(grid: Tensor, latents: Tensor, schedule: NoiseSchedule, kind: str) -> list[Place]:
    """All items at each grid point, on the latents' device, as exactly as it can."""
    check_kind(kind)
    if len(grid) == 0:
        raise ValueError("grid must have a point or more, got none")
    table = schedule.place(grid.detach().cpu().double())
    if kind == "epsilon" and bool((table.alpha == 0).any()):
        raise ValueError("grid must end below pure noise (alpha = 0) for an epsilon prediction, got it in the grid")
    exact = precise(latents[:0]).dtype
    columns = [values.to(dtype=exact).to(latents.device) for values in (table.timestep, table.alpha, table.sigma)]
    return [Place(*(values[index].expand(len(latents)) for values in columns)) for index in range(len(grid))]


def _path(grid: Tensor, states: list[Tensor], estimates: list[Tensor]) -> Path:
    return Path(tuple(grid.tolist()), torch.stack(states).float(), torch.stack(estimates).float())
