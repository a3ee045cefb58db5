"""What a rollout is, and the claim that every engine has to meet first."""

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from assets.engine_pictures.field import CLEAN, DATA, NOISE, SCHEDULE, STRIDE, TARGET, rolled_path
from assets.engine_pictures.panels import key, panels, say
from core.noise.prediction import KINDS, add_noise, pair_target
from core.noise.schedule import NoiseSchedule
from core.plots.arms import arm_styles
from core.plots.figure import describe
from core.plots.palette import ARM_COLOURS, BASE, SUBDUED
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS

STEPS = {"short": 1, "long": 5}
CLAIM = 1e-5
LENGTHS = ((1, 1), (10, 1), (3, 125), (10, 99))
"""Rollout steps and stride of the landing test."""


def draw() -> Figure:
    """The true path and the model's own; how exactly a model that knows the pair is landed."""
    figure, (left, right) = panels(
        ("An exact model of three pictures, on its own path", "Landing error, the pair known"),
        (("timestep (0 = clean)", "state"), ("sampler", "largest error, float32")),
        widths=(1.35, 1),
    )
    away = _paths(left)
    worst = _landings(right)
    power = math.ceil(math.log10(worst))
    text = (
        f"Landed at timestep {TARGET}, the exact model is {away['short']:.2f} from the true state after "
        f"{STEPS['short']} step of {STRIDE} timesteps and {away['long']:.2f} after {STEPS['long']} of them. "
        f"A model that knows the pair lands within 1e{power} of it with every sampler and every kind of prediction."
    )
    return describe(figure, text)


def _paths(axes: Axes) -> dict[str, float]:
    times = torch.linspace(0, 1000, 101)
    true = add_noise(
        torch.full((101, 1), CLEAN), torch.full((101, 1), NOISE), alpha=SCHEDULE.alpha(times),
        sigma=SCHEDULE.sigma(times),
    )  # fmt: skip
    axes.plot(times, true[:, 0], color=BASE, linewidth=1.4, label="true path")
    away, styles = {}, arm_styles(list(STEPS))
    for name, steps in STEPS.items():
        path, result = rolled_path(steps)
        label = f"model's, {steps} step{'s' if steps > 1 else ''}"
        axes.plot(*zip(*path, strict=True), marker=styles[name].marker, markersize=5, label=label, **styles[name].line)
        away[name] = float((result.rolled - result.noisy).abs())
    axes.axvline(TARGET, color=SUBDUED, linewidth=1, linestyle=(0, (2, 2)))
    axes.plot([TARGET], [float(result.noisy)], "o", markersize=7, markerfacecolor="none", color=BASE)
    say(axes, TARGET + 15, -0.6, "target", SUBDUED, ha="right")
    axes.plot([0] * len(DATA), DATA, "s", color=SUBDUED, markersize=7, clip_on=False)
    axes.set_xlim(1000, 0)
    axes.set_ylim(-1.15, 1.15)
    key(axes)
    return away


def _landings(axes: Axes) -> float:
    styles = arm_styles(list(KINDS))
    worst = 0.0
    for column, kind in enumerate(KINDS):
        errors = [_landing_error(sampler, kind) for sampler in SAMPLERS]
        places = [index + 0.13 * (column - 1.5) for index in range(len(SAMPLERS))]
        axes.plot(places, errors, styles[kind].marker, color=styles[kind].colour, markersize=5.5, label=kind)
        worst = max(worst, *errors)
    axes.axhline(CLAIM, color=ARM_COLOURS[1], linewidth=1.4, linestyle=(0, (5, 2)))
    say(axes, -0.4, CLAIM * 1.5, "claim: 1e-5", ARM_COLOURS[1], va="bottom")
    axes.set_yscale("log")
    axes.set_ylim(1e-8, 1e-3)
    axes.set_xlim(-0.5, len(SAMPLERS) - 0.5)
    axes.set_xticks(range(len(SAMPLERS)), list(SAMPLERS))
    axes.legend(loc="upper right", ncols=2, frameon=False, fontsize=8.5, handletextpad=0.1, columnspacing=0.8)
    return worst


def _landing_error(sampler: str, kind: str) -> float:
    """Over a few lengths and strides, from the noisy end and from the middle."""
    schedule = SCHEDULE if kind == "flow_matching" else _scaled_linear()
    source = torch.tensor([start for start in (schedule.last, 991) for _ in LENGTHS])
    steps, stride = torch.tensor([*LENGTHS, *LENGTHS]).T
    plan = RolloutPlan(source=source, target=source - steps * stride, steps=steps)
    clean, noise = torch.randn((2, len(steps), 4, 8, 8), generator=torch.Generator().manual_seed(0))

    def knows_the_pair(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        where = {"alpha": schedule.alpha(timestep), "sigma": schedule.sigma(timestep)}
        return pair_target(clean[items], noise[items], **where, kind=kind)

    result = roll(knows_the_pair, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler)
    return float((result.rolled - result.noisy).abs().max())


def _scaled_linear() -> NoiseSchedule:
    """The noise schedule of Stable Diffusion 1.5."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return NoiseSchedule.variance_preserving((1 - betas).cumprod(0))
