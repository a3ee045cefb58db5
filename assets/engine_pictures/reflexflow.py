"""ReflexFlow's two terms: how much the weights differ from 1, and what the direction loss punishes."""

import math

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from assets.engine_pictures.panels import key, panels, say
from assets.engine_pictures.subject import encoded
from core.plots.figure import describe
from core.plots.palette import ARM_COLOURS, BASE, SUBDUED
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.reflexflow import compensation_weights, direction_loss

SIZES = {"4 × 64 × 64": (4, 64, 64), "16 × 128 × 128": (16, 128, 128)}
LENGTHS = (0.1, 10.0)
ALPHA, TARGET = 1.0, 500


def draw() -> Figure:
    """Distributions of the weights; the direction loss over the angle."""
    figure, (left, right) = panels(
        ("Weights of the squared error", "Direction loss of a prediction"),
        (
            ("weight w of an element", "elements per unit of w"),
            ("angle to the way from x0 to the rolled state", "loss"),
        ),
    )
    spread = _weights(left)
    _angles(right)
    text = "; ".join(f"{name}: {ours:.2f}, divided by the sum {theirs:.0e}" for name, (ours, theirs) in spread.items())
    return describe(
        figure,
        f"How far the weights differ from 1, root mean square: {text}. "
        "The direction loss is 2 - 2 cos(angle), whatever the lengths.",
    )


def _weights(axes: Axes) -> dict[str, tuple[float, float]]:
    """Draws the distributions; how far ours and those divided by the sum differ from 1."""
    spread = {}
    for name, (biased, unbiased) in _examples().items():
        weights = compensation_weights(biased, unbiased, ALPHA)
        spread[name] = (_spread(weights), _spread(divided_by_the_sum(biased, unbiased)))
        counts, edges = np.histogram(weights.flatten().numpy(), 60, density=True)
        if name == next(iter(SIZES)):
            axes.stairs(counts, edges, fill=True, color=BASE, alpha=0.35, label="normal")
        elif name not in SIZES:
            axes.stairs(counts, edges, color=ARM_COLOURS[0], linewidth=1.5, label="embedded-flow")
    axes.axvline(1, color=ARM_COLOURS[1], linewidth=2, linestyle=(0, (5, 2)), label="by the sum")
    axes.set_xlim(left=0)
    key(axes)
    return spread


def _examples() -> dict[str, tuple[Tensor, Tensor]]:
    """Predictions at rolled and at true states: independent normal ones of two sizes, and the embedded base's own."""
    found = {}
    for name, size in SIZES.items():
        biased, unbiased = torch.randn((2, 1, *size), generator=torch.Generator().manual_seed(0))
        found[name] = biased, unbiased
    biased, unbiased = _of_the_embedded_base()
    found[f"embedded-flow's own, {' × '.join(map(str, biased.shape[1:]))}"] = biased, unbiased
    return found


@torch.no_grad()
def _of_the_embedded_base() -> tuple[Tensor, Tensor]:
    """After three sampling steps of 50 timesteps, on the subject's pictures, without a LoRA."""
    family, pictures = encoded("demo-flow")
    clean, condition = pictures.latents, pictures.conditions[pictures.prompt]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    target = torch.full((len(clean),), TARGET)
    plan = RolloutPlan(source=target + 150, target=target, steps=torch.full_like(target, 3))

    def network(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return family.predict(family.network, noisy, timestep, condition[items])

    result = roll(network, clean, noise, plan, schedule=family.schedule, kind=family.kind)
    items, timestep = torch.arange(len(clean)), target.float()
    return network(result.rolled, timestep, items), network(result.noisy, timestep, items)


def divided_by_the_sum(biased: Tensor, unbiased: Tensor) -> Tensor:
    """For comparison, as the best-known implementation has it: each item's `1 + alpha |delta| / sum |delta|`."""
    change = (unbiased - biased).abs()
    return 1 + ALPHA * change / change.sum(dim=tuple(range(1, change.ndim)), keepdim=True)


def _spread(weights: Tensor) -> float:
    return float((weights.double() - 1).square().mean().sqrt())


def _angles(axes: Axes) -> None:
    degrees = torch.arange(0, 181, 5, dtype=torch.float32)
    clean, way, other = torch.randn((3, 4 * 64 * 64), generator=torch.Generator().manual_seed(0))
    way, other = way / way.norm(), other - (other @ way) / (way @ way) * way
    other = other / other.norm()
    lines = {"color": BASE, "linewidth": 4, "alpha": 0.5}, {"color": ARM_COLOURS[0]}
    for length, line in zip(LENGTHS, lines, strict=True):
        angle = degrees[:, None] * math.pi / 180
        velocity = length * (angle.cos() * way + angle.sin() * other)
        loss = direction_loss(velocity, (clean + way).expand_as(velocity), clean.expand_as(velocity))
        axes.plot(degrees, loss, label=f"length × {length:g}", **line)
    axes.set_xticks(range(0, 181, 45), [f"{angle}°" for angle in range(0, 181, 45)])
    say(axes, 92, 1.7, "at right angles: 2", SUBDUED)
    key(axes)
