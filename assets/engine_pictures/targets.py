"""Where the three targets point from a state that drifted, and what the choice does over many steps."""

from dataclasses import dataclass, field

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from assets.engine_pictures.field import CLEAN, DATA, KIND, NOISE, SCHEDULE, STRIDE, TARGET, posterior_mean, rolled_path
from assets.engine_pictures.panels import key, panels, say
from core.noise.prediction import to_clean
from core.plots.arms import arm_styles
from core.plots.figure import describe
from core.plots.palette import BASE, SUBDUED
from core.rollout.engine import roll
from core.rollout.offsets import even_grid
from core.rollout.plan import RolloutPlan
from core.rollout.target import RULES, training_target

STEPS = 5
"""Of the rollout on the left."""
POINTS = 28
LENGTHS = (0, 1, 2, 3, 4, 5, 6, 8, 10)
GRID = torch.from_numpy(even_grid(SCHEDULE.last, POINTS))


def draw() -> Figure:
    """Left: the clean picture that each target implies. Right: the spread of samples against the rollouts' length."""
    figure, (left, right) = panels(
        ("Where each target points from a drifted state", f"Perfect model of N(0, 1), {POINTS} Euler steps"),
        (("timestep (0 = clean)", "state"), ("length k of every rollout", "std of samples (data: 1)")),
    )
    aims = _aims(left)
    spread = {rule: [final_spread(rule, k) for k in LENGTHS] for rule in RULES}
    _spreads(right, spread)
    far = LENGTHS.index(3), LENGTHS.index(10)
    text = (
        f"From the state drifted over {STEPS} steps, with x0 = {CLEAN:g}: anchored points to {aims['anchored']:.2f}, "
        f"posterior to {aims['posterior']:.2f}, original to {aims['original']:.2f}. Samples of the model trained with "
        f"rollouts of length 0 have a standard deviation of {spread['anchored'][0]:.3f}; with anchored targets at "
        f"k = 3 and 10 {spread['anchored'][far[0]]:.3f} and {spread['anchored'][far[1]]:.3f}; original "
        f"{spread['original'][far[0]]:.3f} and {spread['original'][far[1]]:.3f}; posterior "
        f"{spread['posterior'][far[0]]:.3f} and {spread['posterior'][far[1]]:.3f}."
    )
    return describe(figure, text)


def _aims(axes: Axes) -> dict[str, float]:
    path, result = rolled_path(STEPS)
    where = {"alpha": result.target.alpha.float(), "sigma": result.target.sigma.float()}
    clean, noise = torch.tensor([[CLEAN]]), torch.tensor([[NOISE]])
    mean = posterior_mean()(result.rolled, **where, group=torch.zeros(1, dtype=torch.long)).clean
    axes.plot(*zip(*path, strict=True), color=BASE, marker="o", markersize=4, linewidth=1.4)
    say(axes, path[0][0], path[0][1] - 0.14, "rolled", SUBDUED)
    styles, aims = arm_styles(list(RULES)), {}
    for rule in RULES:
        target = training_target(rule, result.rolled, clean, noise, **where, kind=KIND, posterior=mean)
        aims[rule] = float(to_clean(target, result.rolled, **where, kind=KIND))
        ends = [float(result.rolled), aims[rule]]
        axes.plot([TARGET, 0], ends, linewidth=1.8, label=rule, **styles[rule].line)
    axes.plot([TARGET], [float(result.noisy)], "o", markersize=7, markerfacecolor="none", color=BASE)
    say(axes, TARGET + 15, float(result.noisy) + 0.02, "true state", SUBDUED, ha="right", va="bottom")
    axes.plot([0] * len(DATA), DATA, "s", color=SUBDUED, markersize=7, clip_on=False)
    axes.set_xlim(TARGET + STEPS * STRIDE + 30, 0)
    axes.set_ylim(-1.15, 1.15)
    key(axes)
    return aims


def _spreads(axes: Axes, spread: dict[str, list[float]]) -> None:
    for rule, style in arm_styles(list(RULES)).items():
        axes.plot(LENGTHS, spread[rule], marker=style.marker, markersize=4.5, label=rule, **style.line)
    axes.set_ylim(0, 1.1)
    key(axes)


@dataclass
class LinearModel:
    """The velocity `slope(t) * x`: all that a model of Gaussian data of mean 0 has to learn.

    Attributes:
        slope: by grid point, counted from the noisy end.
    """

    slope: dict[int, float] = field(default_factory=dict)

    def __call__(self, noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return self.slope[_grid_point(float(timestep[0]))] * noisy


def final_spread(rule: str, length: int) -> float:
    """Standard deviation of samples, for N(0, 1) data, of a model that is the optimum on its own rollouts.

    Every item is rolled out `length` grid steps (fewer at the noisy end). Everything is linear, so a latent of two
    elements, the clean latent's and the noise's share in a state, stands for all pairs: a mean over pairs of a
    product is the scalar product. The slope at a grid point is the regression of the target on the rolled state; it
    depends on the noisier points' slopes only, which come first.
    """
    model, clean, noise = LinearModel(), *torch.eye(2, dtype=torch.float64)[:, None]
    for point in range(POINTS, 0, -1):
        steps = min(length, POINTS - point)
        state = roll(model, clean, noise, _plan(point, steps), schedule=SCHEDULE, kind=KIND, sampler="euler").rolled
        where = {"alpha": SCHEDULE.alpha(GRID[[point - 1]]), "sigma": SCHEDULE.sigma(GRID[[point - 1]])}
        mean = where["alpha"] / (where["alpha"] ** 2 + where["sigma"] ** 2) * state  # E[x0 | x] of unit Gaussian data
        target = training_target(rule, state, clean, noise, **where, kind=KIND, posterior=mean)
        model.slope[point] = float((target * state).sum() / state.square().sum())
    sample = roll(model, clean, noise, _plan(0, POINTS), schedule=SCHEDULE, kind=KIND, sampler="euler").rolled
    return float(sample.square().sum().sqrt())


def _plan(point: int, steps: int) -> RolloutPlan:
    nodes = torch.cat([torch.zeros(1, dtype=torch.float64), GRID])
    return RolloutPlan(source=nodes[[point + steps]], target=nodes[[point]], steps=torch.tensor([steps]), grid=GRID)


def _grid_point(timestep: float) -> int:
    return round(timestep / SCHEDULE.last * POINTS)
