"""The samplers a rollout can advance with. One file a sampler; this registry imports none of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

ORDERS = (1, 2, 3)


@dataclass(frozen=True)
class SamplerEntry:
    """A sampler by name.

    Attributes:
        name: the option's value.
        help: one sentence for people.
        calls_per_step: model calls that one rollout step makes.
        takes_order: whether the option `order` applies.
        target: "module:Class", imported on use.
    """

    name: str
    help: str
    calls_per_step: int
    takes_order: bool
    target: str

    def build(self, order: int) -> Any:
        """The sampler (see `core.rollout.samplers.base.Sampler`), of the given order if it takes one."""
        module, attribute = self.target.split(":")
        sampler = getattr(import_module(module), attribute)
        return sampler(order) if self.takes_order else sampler()


_ENTRIES = (
    SamplerEntry(
        "unipc",
        "UniPC: predictor and corrector from past estimates, of the chosen order; the sharpest for one call a step.",
        calls_per_step=1,
        takes_order=True,
        target="core.rollout.samplers.unipc:UniPC",
    ),
    SamplerEntry(
        "euler",
        "Euler, which is DDIM for epsilon, v and sample: first order, the plainest.",
        calls_per_step=1,
        takes_order=False,
        target="core.rollout.samplers.euler:Euler",
    ),
    SamplerEntry(
        "dpm",
        "DPM-Solver++ multistep, of the chosen order.",
        calls_per_step=1,
        takes_order=True,
        target="core.rollout.samplers.dpm:DPMSolver",
    ),
    SamplerEntry(
        "rk4",
        "Classical Runge-Kutta of fourth order: the most exact, at four model calls a step.",
        calls_per_step=4,
        takes_order=False,
        target="core.rollout.samplers.rk4:RungeKutta4",
    ),
)

SAMPLERS: Mapping[str, SamplerEntry] = {entry.name: entry for entry in _ENTRIES}


def build_sampler(name: str, order: int = 2) -> Any:
    """The sampler of that name.

    Raises:
        ValueError: if the name is unknown or the order is not 1, 2 or 3.
    """
    if name not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, got {name!r}")
    if order not in ORDERS:
        raise ValueError(f"order must be 1, 2 or 3, got {order!r}")
    return SAMPLERS[name].build(order)
