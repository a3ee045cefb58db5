"""Sums over the items or states of a step, added up on the device and fetched once at the step's end."""

from collections.abc import Sequence

import torch
from torch import Tensor

NAMES = (
    "loss_rolled", "loss_teacher_forced", "m1_squared", "energy_rolled", "energy_true", "rollout_g2",
    "posterior_entropy", "posterior_nearest", "reflexflow_direction", "reflexflow_error", "reflexflow_spread_squared",
)  # fmt: skip
"""What is summed."""


class Tally:
    """Sums and counts by name. How many values there are is known without asking the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor, count: int | None = None) -> None:
        """Adds (n,) values, or, where some of them are zeroed, those of which `count` are meant.

        Args:
            name: one of ``NAMES``.
            values: of items or states.
            count: how many of them are meant; None: all.
        """
        total = values.detach().double().sum() if values.device.type != "mps" else values.detach().sum()
        self._sums[name] = self._sums[name] + total if name in self._sums else total
        self._counts[name] = self._counts.get(name, 0) + (len(values) if count is None else count)

    def merge(self, other: "Tally") -> None:
        """Adds what another one holds."""
        for name, total in other._sums.items():
            self.add(name, total[None], other._counts[name])

    @classmethod
    def of(cls, sums: Sequence[float], counts: Sequence[float]) -> "Tally":
        """One that holds what ``totals`` gave."""
        made = cls()
        made._sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in zip(NAMES, sums, strict=True)}
        made._counts = {name: int(count) for name, count in zip(NAMES, counts, strict=True)}
        return made

    def means(self) -> dict[str, float]:
        """Every mean that there are values for."""
        sums, counts = self.totals()
        return {name: total / count for name, total, count in zip(NAMES, sums, counts, strict=True) if count > 0}

    def totals(self) -> tuple[list[float], list[int]]:
        """Sums and counts of ``NAMES``, in their order; 0 where nothing was added."""
        known = list(self._sums)
        sums = dict(
            zip(known, torch.stack([self._sums[name] for name in known]).tolist() if known else (), strict=True)
        )
        return [sums.get(name, 0.0) for name in NAMES], [self._counts.get(name, 0) for name in NAMES]
