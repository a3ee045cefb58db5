"""What rollouts will cost, before anything runs. No torch: the page shows it while options change.

Everything is counted in four numbers of a step: calls of the network without gradient, items in them, calls forward and
backward, items in those. Their expectations are exact, the ramp included. A `Calibration` turns them into time: it is
linear in all four, so that the expected time is the time of the expected counts.

| | calls without gradient | items | calls with gradient | items |
|---|---|---|---|---|
| fresh | longest rollout × the sampler's calls | rollout steps × the sampler's calls (× 2 guided) | 1 | batch |
| ReflexFlow in it | + 1 where an item is rolled | + rolled items | | |
| visited | | | longest rollout + 1 | batch + rollout steps |
| ReflexFlow in it | longest rollout | rollout steps | | |
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.rollout.expected import Shares, cut_distribution, expected_longest
from core.rollout.offsets import Numbers
from core.rollout.ramp import probability_at
from core.rollout.samplers import SAMPLERS

SAMPLED_STEPS = 1000
"""A longer training is forecast from this many of its optimizer steps, evenly spread."""


@dataclass(frozen=True)
class Calibration:
    """What the parts of a step take, in seconds or in any other unit of time.

    Attributes:
        forward_call: a call without gradient, beside its items.
        forward_item: an item in it.
        train_call: a call forward and backward, beside its items.
        train_item: an item in it.
        visit_call: a call forward and backward in mode visited, beside its items: states are moved on there too, and
            calls of changing size are slower than equal ones.
        visit_item: an item in it.
        rest: everything else of an optimizer step: drawing the batch, clipping, the optimizer.
    """

    forward_call: float
    forward_item: float
    train_call: float
    train_item: float
    visit_call: float
    visit_item: float
    rest: float

    @classmethod
    def by_items(cls, train_share: float = 3.0) -> "Calibration":
        """A call takes as long as its items together; a forward is the unit.

        Args:
            train_share: forward and backward of an item, in forwards: about 3, or 4 with gradient checkpointing.
        """
        return cls(0.0, 1.0, 0.0, train_share, 0.0, train_share, 0.0)

    @classmethod
    def by_calls(cls, items: int, train_share: float = 3.0) -> "Calibration":
        """A call takes as long as one with so many items, however few it has."""
        trained = train_share * items
        return cls(float(items), 0.0, trained, 0.0, trained, 0.0, 0.0)

    def seconds(
        self, *, calls: float, forwards: float, trained_calls: float, trained_items: float, steps: float = 1.0,
        visited: bool = False,
    ) -> float:  # fmt: skip
        """The time of so much work, in mode visited or not."""
        call, item = (self.visit_call, self.visit_item) if visited else (self.train_call, self.train_item)
        without_gradient = self.forward_call * calls + self.forward_item * forwards
        return without_gradient + call * trained_calls + item * trained_items + self.rest * steps


@dataclass(frozen=True)
class Forecast:
    """Expected cost of rollouts, as means over all optimizer steps of a training, so that the ramp counts.

    Attributes:
        mean_probability: chance per item to be picked, 0..1.
        rollout_calls_per_step: model calls without gradient per optimizer step, ReflexFlow's included.
        rollout_forwards_per_item: forwards in them per item; a guided rollout makes two where a plain one makes one.
        rollout_forwards_per_step: the same per optimizer step.
        trained_calls_per_step: calls forward and backward per optimizer step.
        trained_per_item: states trained on per item: 1, and more in mode visited.
        forwards_total: forwards without gradient over the whole training.
        calls_total: calls without gradient over the whole training.
        relative_step_time: length of a step, 1 = without rollout; without a calibration, as if a call's time were
            proportional to its items.
        relative_step_time_upper: without a calibration, the same if a call with few items takes as long as one with
            the whole batch; with one, no other than the former.
        seconds_per_step: None without a calibration.
        plain_seconds_per_step: of a step without rollout; None without a calibration.
    """

    mean_probability: float
    rollout_calls_per_step: float
    rollout_forwards_per_item: float
    rollout_forwards_per_step: float
    trained_calls_per_step: float
    trained_per_item: float
    forwards_total: float
    calls_total: float
    relative_step_time: float
    relative_step_time_upper: float
    seconds_per_step: float | None = None
    plain_seconds_per_step: float | None = None


def forecast(
    options: Any,
    batch_size: int,
    max_train_steps: int,
    *,
    last: int,
    micro_steps: int = 1,
    reflexflow: bool = False,
    grid: Numbers | None = None,
    shares: Shares | None = None,
    calibration: Calibration | None = None,
    train_share: float = 3.0,
) -> Forecast:
    """Forecasts the cost of rollouts.

    Args:
        options: the scheduled sampling options.
        batch_size: items that advance together: of a micro-step, on one process, class pictures included.
        max_train_steps: optimizer steps of the training, 0 or more.
        last: the noisiest timestep.
        micro_steps: gradient accumulation steps.
        reflexflow: whether ReflexFlow is in force.
        grid: the inference grid for stride "inference"; None: an even one (see `core.rollout.expected`).
        shares: how often items are trained at each timestep; None: all alike.
        calibration: measured seconds; None: usual proportions.
        train_share: without a calibration, forward and backward of an item in forwards: 3, or 4 with gradient
            checkpointing.
    """
    probability = np.array([probability_at(step, options) for step in _sampled(max_train_steps)])
    if len(probability) == 0 or options.max_step_offset == 0:
        probability = np.zeros(1)
    work = _work(options, batch_size, probability, cut_distribution(options, last, grid, shares), reflexflow)
    plain = {"calls": 0.0, "forwards": 0.0, "trained_calls": 1.0, "trained_items": float(batch_size)}
    visited = options.mode == "visited" and bool((probability > 0).any())
    if calibration is None:
        guided = 2 if options.guidance_scale > 1 else 1
        low, high = Calibration.by_items(train_share), Calibration.by_calls(batch_size, train_share)
        relative = low.seconds(**work) / low.seconds(**plain)
        extra = {**work, "calls": guided * work["calls"]}
        upper, seconds, plain_seconds = high.seconds(**extra) / high.seconds(**plain), None, None
    else:
        each_step = {"steps": 1 / micro_steps}
        seconds = micro_steps * calibration.seconds(**work, **each_step, visited=visited)
        plain_seconds = micro_steps * calibration.seconds(**plain, **each_step)
        relative = upper = seconds / plain_seconds
    return Forecast(
        mean_probability=float(probability.mean()),
        rollout_calls_per_step=micro_steps * work["calls"],
        rollout_forwards_per_item=work["forwards"] / batch_size,
        rollout_forwards_per_step=micro_steps * work["forwards"],
        trained_calls_per_step=micro_steps * work["trained_calls"],
        trained_per_item=work["trained_items"] / batch_size,
        forwards_total=micro_steps * work["forwards"] * max_train_steps,
        calls_total=micro_steps * work["calls"] * max_train_steps,
        relative_step_time=relative,
        relative_step_time_upper=upper,
        seconds_per_step=seconds,
        plain_seconds_per_step=plain_seconds,
    )


def _work(options: Any, batch_size: int, probability: np.ndarray, share: Shares, reflexflow: bool) -> dict[str, float]:
    """What a micro-step does on average: the table at the top."""
    longest = float(expected_longest(share, batch_size, probability).mean())
    steps = batch_size * float(probability.mean()) * float(share @ np.arange(len(share)))
    if options.mode == "visited":
        extra = {"calls": longest, "forwards": steps} if reflexflow else {"calls": 0.0, "forwards": 0.0}
        return {**extra, "trained_calls": longest + 1, "trained_items": batch_size + steps}
    calls = SAMPLERS[options.sampler].calls_per_step
    forwards = calls * (2 if options.guidance_scale > 1 else 1)
    rolled = probability * (1 - share[0])
    clean_calls = float((1 - (1 - rolled) ** batch_size).mean()) if reflexflow else 0.0
    clean_items = batch_size * float(rolled.mean()) if reflexflow else 0.0
    return {
        "calls": calls * longest + clean_calls, "forwards": forwards * steps + clean_items,
        "trained_calls": 1.0, "trained_items": float(batch_size),
    }  # fmt: skip


def _sampled(max_train_steps: int) -> list[int]:
    """Optimizer steps, all of a short training, at the middles of equal parts of a long one."""
    count = min(max_train_steps, SAMPLED_STEPS)
    return ((np.arange(count) + 0.5) * (max_train_steps / max(count, 1))).astype(int).tolist()
