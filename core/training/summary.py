"""What an optimizer step did, over all of its micro-steps and all processes: the numbers of its record."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate import Accelerator

from core.training.step import StepOutcome
from core.training.tally import NAMES, Tally

_SUMS = ("loss", "rolled", "items", "offsets", "rollout_forwards", "below_grid", "trained_states")
_LARGEST = ("max_offset", "rollout_calls")


def summarise(outcomes: Sequence[StepOutcome], accelerator: Accelerator) -> dict[str, Any]:
    """The fields of a ``StepRecord`` that are told of what was trained; the same in every process.

    All processes call it together. Counts are those of the global batch; calls those of the process that made the most,
    for which the others wait.

    Args:
        outcomes: of this process's micro-steps.
        accelerator: of the training.
    """
    rows = _of_all(_own(outcomes), accelerator)
    count = len(_SUMS) + len(_LARGEST)
    sums = {name: sum(row[place] for row in rows) for place, name in enumerate(_SUMS)}
    largest = {name: max(row[len(_SUMS) + place] for row in rows) for place, name in enumerate(_LARGEST)}
    states = [sum(column) for column in zip(*(row[count:] for row in rows), strict=True)]
    loss, offsets = sums.pop("loss") / len(outcomes), sums.pop("offsets")
    return {
        "loss": loss, "mean_offset": offsets / sums["items"],
        **{name: int(value) for name, value in (sums | largest).items()},
        **live_means(Tally.of(states[: len(NAMES)], states[len(NAMES) :]).means()),
    }  # fmt: skip


def live_means(means: Mapping[str, float]) -> dict[str, float | None]:
    """The fields of a step's record that are means over its states; None where there was no such state.

    Args:
        means: by the names of ``core.training.tally``.
    """
    names = ("loss_rolled", "loss_teacher_forced", "rollout_g2", "posterior_entropy", "posterior_nearest")
    names += ("reflexflow_direction", "reflexflow_error")
    kept: dict[str, float | None] = {name: means.get(name) for name in names}
    for name, square in (("rollout_drift", "m1_squared"), ("reflexflow_spread", "reflexflow_spread_squared")):
        kept[name] = math.sqrt(means[square]) if square in means else None
    known = "energy_rolled" in means
    kept["rollout_v"] = math.log(means["energy_rolled"] / means["energy_true"]) if known else None
    return kept


def _own(outcomes: Sequence[StepOutcome]) -> list[float]:
    """This process's numbers, in the order of ``_SUMS`` and ``_LARGEST``, then sums and counts of the states."""
    steps = torch.cat([outcome.plan.steps for outcome in outcomes])
    states = Tally()
    for outcome in outcomes:
        states.merge(outcome.tally)
    sums, counts = states.totals()
    return [
        sum(torch.stack([outcome.loss for outcome in outcomes]).tolist()), int((steps > 0).sum()), len(steps),
        int(steps.sum()), sum(outcome.forwards for outcome in outcomes),
        sum(outcome.plan.below_grid for outcome in outcomes), sum(outcome.trained for outcome in outcomes),
        int(steps.max()), sum(outcome.calls for outcome in outcomes), *sums, *counts,
    ]  # fmt: skip


def _of_all(own: list[float], accelerator: Accelerator) -> list[list[float]]:
    """A row a process."""
    if accelerator.num_processes == 1:
        return [own]
    rows: Any = accelerator.gather(torch.tensor([own], dtype=torch.float64, device=accelerator.device))
    return rows.tolist()
