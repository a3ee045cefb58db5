"""All items of a batch advance in one call, each at its own timestep."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from assets.engine_pictures.panels import key, panels
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.noise.schedule import NoiseSchedule
from core.plots.arms import arm_styles
from core.plots.figure import describe
from core.plots.palette import ARM_COLOURS, BASE
from core.rollout.cost import forecast
from core.rollout.engine import roll
from core.rollout.plan import draw_plan

OPTIONS = ScheduledSamplingConfig(max_step_offset=10, probability=1.0)
SCHEDULE = NoiseSchedule.flow_matching()
BATCH = 8
BATCHES = (1, 2, 4, 8, 16)


def draw() -> Figure:
    """One batch's calls as bars; expected calls a step by batch size."""
    figure, (left, right) = panels(
        (f"One batch of {BATCH}, K = {OPTIONS.max_step_offset}", "Calls a step, expected"),
        (("model call", "item"), ("batch size", "calls without gradient")),
        widths=(1.35, 1),
    )
    calls, forwards = _bars(left)
    apart, together, with_reflexflow = _by_batch(right)
    text = (
        f"The batch shown takes {calls} calls together and {forwards} one item at a time, for the same {forwards} "
        f"forwards of an item. Expected at K = {OPTIONS.max_step_offset}, probability 1, batch {BATCH}: "
        f"{together:.1f} calls a step together ({with_reflexflow:.1f} with ReflexFlow), {apart:.1f} one at a time."
    )
    return describe(figure, text)


def _bars(axes: Axes) -> tuple[int, int]:
    timesteps = torch.randint(0, 900, (BATCH,), generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(2)
    plan = draw_plan(OPTIONS, timesteps, probability=1.0, last=SCHEDULE.last, generator=generator)
    latents = torch.zeros(BATCH, 1)

    def network(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return noisy

    result = roll(network, latents, latents, plan, schedule=SCHEDULE, kind="flow_matching")
    before = 0
    for item, steps in enumerate(plan.steps.tolist()):
        own, shared = _calls(before, steps), _calls(0, steps)
        axes.broken_barh(own, (item + 0.02, 0.34), color=BASE, label="" if item else "one at a time")
        axes.broken_barh(shared, (item - 0.36, 0.34), color=ARM_COLOURS[0], label="" if item else "together")
        before += steps
    axes.set_yticks(range(BATCH), [str(item + 1) for item in range(BATCH)])
    axes.grid(visible=False)
    axes.set_xlim(0, before + 0.5)
    axes.invert_yaxis()
    key(axes)
    return result.calls, result.sample_forwards


def _calls(first: int, count: int) -> list[tuple[float, float]]:
    """A bar a call, with a gap between them."""
    return [(first + call + 0.08, 0.84) for call in range(count)]


def _by_batch(axes: Axes) -> tuple[float, float, float]:
    """Draws both; at BATCH: one at a time, together, together with ReflexFlow."""
    styles = arm_styles(["together", "one at a time"])
    found = {size: forecast(OPTIONS, size, 1, last=SCHEDULE.last) for size in BATCHES}
    values = {
        "together": [each.rollout_calls_per_step for each in found.values()],
        "one at a time": [each.rollout_forwards_per_step for each in found.values()],
    }
    for label, style in styles.items():
        colour = BASE if label == "one at a time" else style.colour
        axes.plot(BATCHES, values[label], color=colour, marker=style.marker, markersize=5, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(BATCHES, [str(size) for size in BATCHES])
    axes.set_ylim(bottom=0)
    key(axes)
    guided = forecast(OPTIONS, BATCH, 1, last=SCHEDULE.last, reflexflow=True)
    own = found[BATCH]
    return own.rollout_forwards_per_step, own.rollout_calls_per_step, guided.rollout_calls_per_step
