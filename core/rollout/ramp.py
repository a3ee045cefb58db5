"""How likely a rollout is at an optimizer step: the schedule of scheduled sampling (Bengio et al. 2015)."""

import math
from collections.abc import Callable, Mapping
from typing import Any

SHAPES: Mapping[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "cosine": lambda x: (1 - math.cos(math.pi * x)) / 2,
}
"""How a ramp rises from 0 to 1 while x goes from 0 to 1."""


def probability_at(step: int, options: Any) -> float:
    """The chance per item, 0..1, that it is rolled out at an optimizer step.

    0 before `start_step`. Then `probability` if `ramp_steps` is 0, else the ramp from `prob_start` to `prob_end`,
    which takes `ramp_steps` steps and stays at `prob_end`; `probability` is not used then.

    Args:
        step: optimizer step, counted from 0.
        options: any object with probability, ramp_steps, prob_start, prob_end, start_step and ramp_shape.

    Raises:
        ValueError: if ramp_shape is unknown.
    """
    if options.ramp_shape not in SHAPES:
        raise ValueError(f"ramp_shape must be one of {', '.join(SHAPES)}, got {options.ramp_shape!r}")
    if step < options.start_step:
        return 0.0
    if options.ramp_steps == 0:
        return float(options.probability)
    done = min((step - options.start_step) / options.ramp_steps, 1.0)
    rise = SHAPES[options.ramp_shape](done)
    return (1 - rise) * options.prob_start + rise * options.prob_end
