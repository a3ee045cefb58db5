"""Made-up records of every kind that plots draw."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from core.config.presets import load_preset
from core.plots import PLOTS
from core.plots.preview import Preview
from core.runs.drift import ChainScores, DriftRecord
from core.runs.records import StepRecord
from core.runs.scores import SCORES

ARMS = ("teacher-forced", "rollout", "too-long")
GRID = (100.0, 500.0, 900.0)
BANDS = 6


def steps(count: int) -> list[StepRecord]:
    noise = np.random.default_rng(0).random(count)
    return [
        StepRecord(
            step=step + 1,
            loss=1.0 + noise[step],
            lr=1e-3,
            grad_norm=0.5 + noise[step],
            probability=0.5,
            rolled=step % 3,
            items=4,
            mean_offset=step % 4,
            max_offset=3,
            rollout_forwards=6,
            trained_states=4,
            rollout_drift=noise[step] if step % 3 else None,
            rollout_v=noise[step] - 0.5 if step % 3 else None,
            rollout_g2=noise[step] - 0.5 if step % 3 else None,
            posterior_entropy=noise[step] if step % 3 else None,
            posterior_nearest=1 - noise[step] / 2 if step % 3 else None,
            reflexflow_direction=noise[step] + 1 if step % 3 else None,
            reflexflow_error=noise[step] + 0.1 if step % 3 else None,
            reflexflow_spread=noise[step] if step % 3 else None,
            seconds=0.5,
            elapsed=0.5 * (step + 1),
        )
        for step in range(count)
    ]


def chain(v: float, inference_steps: int = 20, guidance: float = 1.0, samples: int = 8) -> ChainScores:
    return ChainScores(samples, inference_steps, guidance, v=v, diversity=0.8 + v, nearest=0.5 - v, high=0.9)


def cheap(step: int, value: float = 0.2, **more) -> DriftRecord:
    """A checkpoint's measurement: M1 rises towards the noise, about ``value``."""
    m1 = (value - 0.1, value, value + 0.1)
    made = {"grid": GRID, "m1": m1, "v": (-value, 0.0, value), "m1_mean": value, "chain": chain(-value)}
    return DriftRecord(step=step, **{**made, **more})


def full(step: int, value: float = 0.2, **more) -> DriftRecord:
    """A full measurement: every metric of three timesteps, each of its own size."""
    metrics = ("lag", "lag_residual", "epsilon_norm", "g0", "g1", "g2", "restoring", "restoring_noise")
    made = {name: (value + place, value, value - 0.3) for place, name in enumerate(metrics, start=1)}
    bands = tuple(tuple(value * band for band in range(BANDS)) for _ in GRID)
    free = {"free_grid": (*GRID, 999.0), "free_v": (-0.3, -0.2, -0.1, value)}
    return cheap(step, value, **{"scope": "full", "bands": bands, **made, **free, **more})


def sweep(step: int, inference_steps: int, guidance: float, v: float = -0.1) -> DriftRecord:
    return DriftRecord(step=step, scope="sweep", chain=chain(v, inference_steps, guidance))


def measurements(count: int) -> list[DriftRecord]:
    if not count:
        return []
    last = 100 * (count - 1)
    sweeps = [sweep(last, n, 1.0, -1 / n) for n in (4, 8, 28)] + [sweep(last, 20, g) for g in (2.0, 4.0)]
    base = [cheap(0, 0.15, base=True), full(0, 0.15, base=True)]
    return [*(cheap(100 * n, 0.2 + 0.01 * n) for n in range(count)), full(last, 0.3), *sweeps, *base]


@dataclass(frozen=True)
class Scored:
    seed: int
    values: dict[str, float]
    seconds: float
    compute: float


def scored(count: int) -> list[Scored]:
    return [Scored(seed, dict.fromkeys(SCORES, 0.1 * seed), 10.0 + seed, 100.0 + seed) for seed in range(count)]


def compared(score: str, differences, interval=None, arm: str = "rollout") -> SimpleNamespace:
    return SimpleNamespace(
        arm=arm,
        reference="teacher-forced",
        score=score,
        seeds=tuple(range(len(differences))),
        differences=tuple(differences),
        mean=float(np.mean(differences)),
        interval=interval,
    )


def comparisons(count: int) -> list[SimpleNamespace]:
    seeds = min(count, 8)
    interval = (-0.1, 0.5) if seeds >= 5 else None
    return [compared(name, [0.1 * seed for seed in range(seeds)], interval) for name in SCORES] if seeds else []


def previews(count: int) -> list[Preview]:
    return [Preview.of(load_preset("demo").config)] * count


MAKERS = {
    "steps": steps,
    "drift": measurements,
    "scores": scored,
    "comparisons": comparisons,
    "preview": previews,
}


def series_of(name: str, count: int, labels: tuple[str, ...] = ARMS) -> dict[str, list]:
    return {
        label: MAKERS[PLOTS[name].records](min(count, 60) if PLOTS[name].records == "drift" else count)
        for label in labels
    }


def curves_of(figure) -> list:
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]


def line_named(figure, label: str, place: int = 0):
    return next(line for line in figure.axes[place].lines if line.get_label() == label)
