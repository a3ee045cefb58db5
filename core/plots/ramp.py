"""The probability of a rollout over the training that is being configured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from core.config.foreign.ramps import RampThere
from core.plots.arms import BASE_STYLE, arm_styles
from core.plots.figure import SMALL, add_legend, describe, new_axes, say_empty
from core.plots.lines import number
from core.plots.preview import Preview, latest
from core.rollout.ramp import probability_at

POINTS = 201
THERE = "SimpleTuner"
"""The one other tool that has a ramp."""


def draw(series: Mapping[str, Sequence[Preview]]) -> Figure:
    """Planned probability over all optimizer steps; 0 throughout when rollout is off."""
    figure, axes = new_axes("optimizer step", "probability (0 to 1)", SMALL)
    shown = latest(series)
    if not shown:
        say_empty(axes, "No options to preview")
        return describe(figure, "No options to preview.")
    styles, summary = arm_styles(list(series)), []
    for label, preview in shown.items():
        steps = _steps(preview)
        enabled = preview.options.enabled
        values = [probability_at(int(step), preview.options) if enabled else 0.0 for step in steps]
        axes.plot(steps, values, linewidth=2.0, label=label, **styles[label].line)
        course = f"{number(values[0])} at first, {number(values[-1])} at step {preview.max_train_steps}"
        summary.append(f"{label}: {course}, mean {number(float(np.mean(values)))}")
        if preview.there is not None:
            summary.append(_draw_there(axes, preview.there, steps))
    axes.set_ylim(-0.04, 1.04)
    if len(axes.get_lines()) > 1:
        add_legend(axes)
    return describe(figure, "; ".join(summary) + ".")


def _draw_there(axes: Axes, there: RampThere, steps: np.ndarray) -> str:
    """The ramp as another tool behaves, dashed and in grey; its numbers in words."""
    values = [there.probability_at(int(step)) for step in steps]
    axes.plot(steps, values, linewidth=2.0, label=THERE, **BASE_STYLE.line)
    return f"{THERE}: {number(values[0])} at first, {number(values[-1])} at step {int(steps[-1])}"


def _steps(preview: Preview) -> np.ndarray:
    """Evenly spaced steps, and those beside the jump at the start of the ramp."""
    last = preview.max_train_steps
    even = np.linspace(0, last, min(POINTS, last + 1)).round()
    start = preview.options.start_step
    jump = [step for step in (start - 1, start) if 0 <= step <= last]
    return np.unique(np.concatenate([even, jump]))
