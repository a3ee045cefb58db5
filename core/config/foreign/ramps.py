"""SimpleTuner's ramp as its training loop behaves, beside ours with the same numbers."""

from collections.abc import Callable
from dataclasses import dataclass

from core.config.foreign.report import RampRow
from core.config.scheduled_sampling import ScheduledSamplingConfig
from core.rollout.ramp import SHAPES, probability_at


@dataclass(frozen=True)
class RampThere:
    """The options of the ramp as a SimpleTuner file gives them, or as its defaults are.

    Attributes:
        max_step_offset: The longest rollout; 0 is off.
        probability: The chance without a ramp, 0..1; also what a start or an end of 0.0 becomes.
        ramp_steps: Optimizer steps of the ramp; 0 is none.
        prob_start: Chance at its beginning; 0.0 counts as unset.
        prob_end: Chance at its end; 0.0 counts as unset.
        start_step: Optimizer step at which the ramp begins; without a ramp it is not read.
        ramp_shape: ``linear`` or ``cosine``; any other word is linear.
    """

    max_step_offset: int = 0
    probability: float = 0.0
    ramp_steps: int = 0
    prob_start: float = 0.0
    prob_end: float = 0.5
    start_step: int = 0
    ramp_shape: str = "linear"

    @property
    def first(self) -> float:
        """Where its ramp begins, 0..1."""
        return self.probability if self.prob_start == 0 else self.prob_start

    @property
    def last(self) -> float:
        """Where its ramp ends, 0..1."""
        return self.probability if self.prob_end == 0 else self.prob_end

    def probability_at(self, step: int) -> float:
        """The chance of a rollout per item, 0..1, at an optimizer step counted from 0."""
        if self.max_step_offset <= 0:
            return 0.0
        if self.ramp_steps <= 0:
            return self.probability
        if step < self.start_step:
            return self.first
        done = min((step - self.start_step) / self.ramp_steps, 1.0)
        rise = SHAPES.get(self.ramp_shape, SHAPES["linear"])(done)
        return self.first + (self.last - self.first) * rise


def course_here(options: ScheduledSamplingConfig) -> Callable[[int], float]:
    """The chance of a rollout at an optimizer step, as this workbench trains; 0 throughout where rollout is off."""
    return lambda step: probability_at(step, options) if options.enabled else 0.0


def ramp_rows(there: RampThere, here: ScheduledSamplingConfig, last: int) -> tuple[RampRow, ...]:
    """Both ramps at the steps that tell them apart; empty where neither ever rolls out.

    Args:
        there: As SimpleTuner behaves.
        here: As it was taken over.
        last: Optimizer steps of the training.
    """
    ours = course_here(here)
    rows = tuple(RampRow(step, there.probability_at(step), ours(step)) for step in telling_steps(there, last))
    return rows if any(row.there > 0 or row.here > 0 for row in rows) else ()


def telling_steps(there: RampThere, last: int) -> list[int]:
    """Steps at the corners of the ramps and halfway between, within 0..last."""
    begin, end = there.start_step, there.start_step + max(there.ramp_steps, 0)
    corners = {0, begin - 1, begin, *(begin + round((end - begin) * part) for part in (0.25, 0.5, 0.75)), end, last}
    return sorted(step for step in corners if 0 <= step <= last)
