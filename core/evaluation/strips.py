"""Film strips: what the model sees at points of the true path and of its own, from the same noise."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from core.evaluation.paths import Path as States
from core.evaluation.paths import free_running_path, teacher_forced_path
from core.evaluation.subject import OnStep, Subject
from core.evaluation.variance import state_log_variance
from core.runs.folder import RunFolder
from core.runs.inspection import PathName, Strip, Which, pictures_dir

PAIRS = 2
POINTS = 8
"""Pictures a strip, evenly spaced over the grid's points, both ends among them."""


@dataclass(frozen=True, eq=False)
class Film:
    """One path of all pairs at the chosen points, noisy end first.

    Attributes:
        timesteps: (points,), descending.
        estimates: D at each point.
        v: V of each pair's state there, a row a point: ln(mean x² / (alpha² m2 + sigma²)), in nats.
        distance: rms per element from D on the true path of the same pair, a row a point.
    """

    timesteps: tuple[float, ...]
    estimates: Float[Tensor, "points pairs c h w"]
    v: tuple[tuple[float, ...], ...]
    distance: tuple[tuple[float, ...], ...]


def film_steps(points: int) -> int:
    """Calls of ``on_step`` that :func:`films` makes on a grid of so many points."""
    return 2 * points


def films(subject: Subject, *, base: bool, pairs: int, on_step: OnStep) -> dict[PathName, Film]:
    """Both paths of the first pairs.

    Args:
        subject: with its adapter, if it has one.
        base: whether the adapter is off.
        pairs: how many.
        on_step: called at every forward; an exception that it raises ends it.
    """
    with subject.state(base):
        material = subject.material()
        clean, noise, condition = (part[:pairs] for part in (material.clean, material.noise, material.condition))

        def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
            on_step()
            return subject.predict(noisy, timestep, condition[items])

        shared = {"schedule": material.schedule, "kind": material.kind, "grid": material.grid}
        true = teacher_forced_path(denoiser, clean, noise, **shared)
        own = free_running_path(denoiser, noise, **shared)
    m2 = material.training.float().square().mean().item()
    return {"teacher-forced": _film(true, true, subject, m2), "own": _film(own, true, subject, m2)}


def _film(path: States, true: States, subject: Subject, m2: float) -> Film:
    last = len(path.timesteps) - 1
    chosen = sorted({round(place) for place in torch.linspace(0, last, POINTS).tolist()}, reverse=True)
    schedule, times = subject.family.schedule, torch.tensor(path.timesteps)
    alpha, sigma = schedule.alpha(times).tolist(), schedule.sigma(times).tolist()
    apart = (path.estimates.float() - true.estimates.float()).square().mean((2, 3, 4)).sqrt()
    return Film(
        timesteps=tuple(path.timesteps[place] for place in chosen),
        estimates=path.estimates[chosen],
        v=tuple(
            tuple(state_log_variance(state[None], alpha[place], sigma[place], m2) for state in path.states[place])
            for place in chosen
        ),
        distance=tuple(tuple(apart[place].tolist()) for place in chosen),
    )


def save_films(subject: Subject, found: dict[PathName, Film], which: Which, out: RunFolder) -> list[Strip]:
    """Decodes and writes a picture for each point of each path of each pair.

    Returns:
        The strips, with the pictures' paths relative to the inspection's folder.
    """
    strips = []
    for name, film in found.items():
        for pair in range(film.estimates.shape[1]):
            pictures = [
                _save(out, f"{which}-{name}-{pair}-{place:02d}.png", picture)
                for place, picture in enumerate(subject.family.decode(film.estimates[:, pair]))
            ]
            distance, v = (tuple(row[pair] for row in rows) for rows in (film.distance, film.v))
            strips.append(Strip(which, name, pair, film.timesteps, tuple(pictures), distance, v))
    return strips


def save_clean(subject: Subject, pairs: int, out: RunFolder) -> list[str]:
    """The pairs' own pictures as the base model's autoencoder shows them."""
    shown = subject.family.decode(subject.material().clean[:pairs])
    return [_save(out, f"clean-{pair}.png", picture) for pair, picture in enumerate(shown)]


def _save(out: RunFolder, name: str, picture: Float[Tensor, "3 height width"]) -> str:
    path = pictures_dir(out) / name
    path.parent.mkdir(exist_ok=True)
    pixels = picture.nan_to_num(0.0).mul(255).round().clamp(0, 255).byte().permute(1, 2, 0)
    Image.fromarray(pixels.numpy()).save(path)
    return str(path.relative_to(out.path))
