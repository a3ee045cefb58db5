"""Which timesteps rollout steps lead through, by the option stride."""

import torch
from diffusers import UniPCMultistepScheduler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from assets.engine_pictures.panels import FONT, panels, say
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.noise.grid import inference_grid
from core.plots.figure import describe
from core.plots.palette import ARM_COLOURS, BASE, INK, SUBDUED
from core.rollout.offsets import cut_and_source
from core.rollout.plan import RolloutPlan

STEPS, LAST, SAMPLING_STEPS, SHIFT = 3, 1000, 20, 3.0
TARGETS = (25, 200, 560, 760)
STRIDES = {
    "stride = 1": (1, None),
    "stride = 50": (50, None),
    'stride = "inference"': ("inference", 1.0),
    f'stride = "inference",\nflow shift {SHIFT:g}': ("inference", SHIFT),
}


def draw() -> Figure:
    """Rollouts of three steps to the same timesteps, and the sampler's own steps under them."""
    targets = ", ".join(map(str, TARGETS))
    title = f"k = {STEPS} rollout steps to timesteps {targets}; ticks: a {SAMPLING_STEPS}-step sampler"
    figure, (axes,) = panels((title,), (("timestep (0 = clean)", ""),), height=3.4)
    covered = [_row(axes, row, *stride) for row, stride in enumerate(STRIDES.values())]
    axes.set_position((0.21, axes.get_position().y0, 0.77, axes.get_position().height + 0.07))
    axes.set_title(title, loc="left", pad=8, color=INK, fontsize=FONT + 0.5)
    axes.set_yticks(range(len(STRIDES)), list(STRIDES))
    axes.set_ylim(len(STRIDES) - 0.4, -0.6)
    axes.grid(visible=False)
    axes.set_xlim(LAST, 0)
    names = [name.replace(",\n", ", ") for name in STRIDES]
    parts = [f"{name}: {_listed(ways)}" for name, ways in zip(names, covered, strict=True)]
    return describe(figure, f"Timesteps that {STEPS} rollout steps to {targets} cover. " + "; ".join(parts) + ".")


def _row(axes: Axes, row: int, stride: int | str, shift: float | None) -> list[float]:
    """Draws one stride's rollouts; how many timesteps each covers."""
    grid = _grid(1.0 if shift is None else shift)
    axes.plot(grid, [row + 0.28] * len(grid), "|", color=BASE, markersize=7)
    options = ScheduledSamplingConfig(max_step_offset=STEPS, stride=stride)
    own = grid if stride == "inference" else None
    steps, source = cut_and_source([STEPS] * len(TARGETS), TARGETS, options, LAST, None if own is None else own.numpy())
    plan = RolloutPlan(
        source=torch.from_numpy(source), target=torch.tensor(TARGETS), steps=torch.from_numpy(steps), grid=own
    )
    for path, taken in zip(plan.itinerary().T, steps, strict=True):
        states = path[: taken + 1]
        colour = ARM_COLOURS[0] if taken > 0 else SUBDUED
        axes.plot(states, [row] * len(states), color=colour, linewidth=1.6, marker="o", markersize=4)
        axes.plot(states[-1:], [row], "o", markersize=8, markerfacecolor="white", markeredgewidth=1.6, color=colour)
        if taken == 0:
            say(axes, float(states[-1]), row - 0.27, "k = 0", SUBDUED, ha="center")
    return (plan.source - plan.target).tolist()


def _grid(shift: float) -> torch.Tensor:
    """Of the sampler that the flow matching twin of the embedded base has."""
    scheduler = UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=shift)
    return inference_grid(scheduler, SAMPLING_STEPS).double()


def _listed(ways: list[float]) -> str:
    return ", ".join(f"{way:.0f}" for way in ways)
