"""Blocks of visited states, and why the trained timesteps are distributed as without rollout."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from assets.engine_pictures.panels import key, panels
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.plots.arms import arm_styles
from core.plots.figure import describe
from core.plots.palette import ARM_COLOURS, BASE, INK
from core.rollout.plan import RolloutPlan, draw_plan
from core.rollout.visited import draw_blocks
from core.training.timesteps import TIMESTEPS

OPTIONS = ScheduledSamplingConfig(max_step_offset=3, stride=110, probability=1.0, mode="visited")
FLOW, LAST = TIMESTEPS["flow_matching"], 1000
SHOWN, COUNT, BINS = 7, 100_000, 40


def draw() -> Figure:
    """A few anchors with their blocks; the distribution of what is trained."""
    figure, (left, right) = panels(
        ("Blocks that are trained, size = share of the loss", "Which timesteps are trained"),
        (("timestep (0 = clean)", "item"), ("timestep (0 = clean)", "share of the loss")),
    )
    _blocks(left)
    ours, naive, chance = _marginal(right)
    text = (
        f"Largest difference from teacher forcing over {BINS} bins, in shares of the loss ({COUNT:,} anchors of flow "
        f"matching): {ours:.2f} % with blocks and shares, where another draw of the anchors differs by {chance:.2f} %; "
        f"{naive:.2f} % if every state from an anchor's source down to it counted alike."
    )
    return describe(figure, text)


def _drawn(count: int, seed: int) -> tuple[torch.Tensor, RolloutPlan, torch.Tensor]:
    """Anchors, their blocks, and the states' shares."""
    anchors = FLOW.draw(count, LAST, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    plan, share = draw_blocks(
        OPTIONS, anchors, probability=1.0, last=LAST, generator=generator, density=FLOW.density(LAST)
    )
    return anchors, plan, share


def _blocks(axes: Axes) -> None:
    anchors, plan, share = _drawn(SHOWN, 5)
    path = plan.itinerary()
    for item in range(SHOWN):
        states = int(plan.steps[item]) + 1
        times = path[:states, item]
        axes.plot(times, [item + 1] * states, color=BASE, linewidth=1.2, zorder=1)
        colours = [BASE, *[ARM_COLOURS[0]] * (states - 1)]
        axes.scatter(times, [item + 1] * states, s=170 * share[:states, item], color=colours, zorder=2)
    axes.scatter([], [], s=28, color=BASE, label="teacher-forced")
    axes.scatter([], [], s=28, color=ARM_COLOURS[0], label="rolled")
    axes.scatter(anchors, np.arange(SHOWN) + 1.4, marker="^", s=22, color=INK, label="anchor")
    axes.set_yticks(range(1, SHOWN + 1))
    axes.set_ylim(SHOWN + 0.8, 0.4)
    axes.grid(visible=False)
    axes.set_xlim(LAST, 0)
    key(axes)


def _marginal(axes: Axes) -> tuple[float, ...]:
    """Draws three histograms; the largest differences from teacher forcing of the two, and of chance, in per cent."""
    anchors, plan, share = _drawn(COUNT, 0)
    generator = torch.Generator().manual_seed(1)
    fresh = draw_plan(OPTIONS, anchors, probability=1.0, last=LAST, generator=generator)
    path = fresh.itinerary()
    present = torch.arange(len(path))[:, None] <= fresh.steps
    edges = np.linspace(0, LAST, BINS + 1)
    shares = {
        "teacher-forced": _binned(anchors, torch.ones(COUNT), edges),
        "visited": _binned(plan.itinerary(), share, edges),
        "all alike": _binned(path, present.double(), edges),
    }
    styles = arm_styles(["visited", "all alike"])
    axes.stairs(shares["teacher-forced"], edges, fill=True, color=BASE, alpha=0.3, label="teacher-forced")
    for label, style in styles.items():
        line = {"color": style.colour, "linestyle": style.line["linestyle"], "linewidth": 1.5}
        axes.stairs(shares[label], edges, label=label, **line)
    axes.set_xlim(LAST, 0)
    axes.set_ylim(0, 1.1 * max(values.max() for values in shares.values()))
    key(axes)
    again = FLOW.draw(COUNT, LAST, torch.Generator().manual_seed(2))
    shares["again"] = _binned(again, torch.ones(COUNT), edges)
    return tuple(100 * float(abs(shares[label] - shares["teacher-forced"]).max()) for label in (*styles, "again"))


def _binned(times: torch.Tensor, weight: torch.Tensor, edges: np.ndarray) -> np.ndarray:
    found, _ = np.histogram(times.numpy().ravel(), edges, weights=weight.double().numpy().ravel())
    return found / found.sum()
