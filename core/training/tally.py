"""Means over the items or states of a step, summed on the device and fetched once at the step's end."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


class Tally:
    """Sums and counts by name. How many values there are is known without asking the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor, count: int | None = None) -> None:
        """Adds (n,) values, or, where some of them are zeroed, those of which `count` are meant."""
        total = values.detach().double().sum() if values.device.type != "mps" else values.detach().sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts.get(name, 0) + (len(values) if count is None else count)

    def merge(self, other: "Tally") -> None:
        """Adds what another one holds."""
        for name, total in other._sums.items():
            self.add(name, total[None], other._counts[name])

    def means(self) -> dict[str, float]:
        """Every mean that there are values for."""
        names = [name for name, count in self._counts.items() if count > 0]
        if not names:
            return {}
        sums = torch.stack([self._sums[name] for name in names]).tolist()
        return {name: total / self._counts[name] for name, total in zip(names, sums, strict=True)}


def live_means(tallies: Sequence[Tally]) -> dict[str, float | None]:
    """The fields of a step's record that are means over its states; None where there was no such state.

    Args:
        tallies: of the step's micro-steps.
    """
    whole = Tally()
    for tally in tallies:
        whole.merge(tally)
    means = whole.means()
    names = ("loss_rolled", "loss_teacher_forced", "rollout_g2", "posterior_entropy", "posterior_nearest")
    names += ("reflexflow_direction", "reflexflow_error")
    kept: dict[str, float | None] = {name: means.get(name) for name in names}
    for name, square in (("rollout_drift", "m1_squared"), ("reflexflow_spread", "reflexflow_spread_squared")):
        kept[name] = math.sqrt(means[square]) if square in means else None
    known = "energy_rolled" in means
    kept["rollout_v"] = math.log(means["energy_rolled"] / means["energy_true"]) if known else None
    return kept
