"""What rollouts come to on average: how long they are, where they start, which timesteps they pass.

Every draw that can happen to an item is gone through with its probability. In mode visited k is the drawn length of a
block of states around the item's timestep, and what is said of a rollout holds for that block (`block_and_source`).
Items are taken to be trained at all timesteps 0..last alike, unless their shares are given (`timestep_shares`). Numpy
only: the page previews with these functions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.rollout.offsets import Numbers, block_and_source, cut_and_source, even_grid, offset_distribution

ASSUMED_INFERENCE_STEPS = 28
"""Steps of the even grid that a forecast assumes for stride "inference" when it is given no grid."""
MOST_DRAWS = 2**20
"""Where there are more draws than this, as many of them are looked at, evenly spread."""
PLASTIC = 1.324717957244746
"""The real root of x^3 = x + 1."""

Shares = NDArray[np.float64]


def timestep_shares(last: int, *, flow_matching: bool) -> NDArray[np.float64]:
    """(last + 1,), how often items are trained at each timestep; sums to 1.

    Uniform, or for flow matching the density of a logit-normal `t / last` (Esser et al. 2024, section 3.1).
    """
    if not flow_matching:
        return np.full(last + 1, 1 / (last + 1))
    inner = logit_normal_density(np.arange(1, last) / last)
    return np.concatenate([[0.0], inner / inner.sum(), [0.0]])


def logit_normal_density(sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of numbers 0..1 whose logit is a standard normal, up to a factor; elementwise, finite at both ends."""
    inside = np.clip(sigma, 1e-12, 1 - 1e-12)
    return np.exp(-((np.log(inside) - np.log1p(-inside)) ** 2) / 2) / (inside * (1 - inside))


def cut_distribution(
    options: Any, last: int, grid: Numbers | None = None, shares: Shares | None = None
) -> NDArray[np.float64]:
    """P(k) for k = 0..max_step_offset, of an item that is picked for a rollout, after the cut; sums to 1.

    Args:
        options: the scheduled sampling options: max_step_offset, strategy, stride and mode.
        last: the noisiest timestep.
        grid: the inference grid for stride "inference"; None: an even one.
        shares: (last + 1,), how often items are trained at each timestep; None: all alike.
    """
    found = _outcomes(options, last, grid, shares)
    return _counted(found.steps, found.weight, options.max_step_offset + 1)


def mean_offset(options: Any, last: int, grid: Numbers | None = None) -> float:
    """E[k] after the cut, of an item that is picked for a rollout."""
    share = cut_distribution(options, last, grid)
    return float(share @ np.arange(len(share)))


def expected_longest(share: NDArray[np.float64], batch: int, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """E[max k], the rollout steps that a batch takes, for many probabilities at once.

    `sum_k 1 - (1 - p + p F(k))^batch` over k = 0..K-1.

    Args:
        share: (K + 1,), P(k) of a picked item after the cut, with distribution function F.
        batch: items that advance together.
        probability: (n,), the chance per item to be picked.

    Returns:
        (n,).
    """
    chance = probability[:, None]
    return (1 - (1 - chance + chance * np.cumsum(share)[:-1]) ** batch).sum(axis=1)


def touched_timesteps(
    options: Any,
    last: int,
    bins: int = 50,
    grid: Numbers | None = None,
    shares: Shares | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Which timesteps rollouts touch, for the preview; of items that are picked for a rollout.

    Returns:
        edges: (bins + 1,), timesteps 0..last.
        target: (bins,), share of the items whose rollout ends there; sums to 1.
        source: (bins,), share of the items whose rollout starts there (k = 0: at the target itself); sums to 1.
        covered: (bins,), chance that a rollout (k > 0) passes through the bin or ends in it.
    """
    edges = np.linspace(0, last, bins + 1)
    found = _outcomes(options, last, grid, shares)
    rolled = np.where(found.steps > 0, found.weight, 0.0)

    def bin_of(timestep: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip(np.searchsorted(edges, timestep, side="right") - 1, 0, bins - 1)

    first, final = bin_of(found.target), bin_of(found.source)
    enter, leave = _counted(first, rolled, bins + 1), _counted(final + 1, rolled, bins + 1)
    return {
        "edges": edges,
        "target": _counted(first, found.weight, bins),
        "source": _counted(final, found.weight, bins),
        "covered": np.cumsum(enter - leave)[:bins].clip(0.0, 1.0),
    }


def share_starting_above(
    options: Any,
    last: int,
    timestep: float,
    grid: Numbers | None = None,
    shares: Shares | None = None,
) -> float:
    """Share of the rolled items (k > 0), 0..1, whose rollout starts at a noisier timestep than this one."""
    found = _outcomes(options, last, grid, shares)
    rolled = np.where(found.steps > 0, found.weight, 0.0)
    total = rolled.sum()
    return float(rolled[found.source > timestep].sum() / total) if total > 0 else 0.0


def _counted(values: NDArray[np.int64], weight: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The weight that falls on each of 0..length-1."""
    return np.bincount(values, weights=weight, minlength=length).astype(np.float64)


@dataclass(frozen=True)
class _Outcomes:
    """What can happen to an item that is picked, each with its probability: all (outcomes,), weight sums to 1."""

    steps: NDArray[np.int64]
    target: NDArray[np.float64]
    source: NDArray[np.float64]
    weight: NDArray[np.float64]


def _outcomes(options: Any, last: int, grid: Numbers | None, shares: Shares | None = None) -> _Outcomes:
    if options.stride == "inference" and grid is None:
        grid = even_grid(last, ASSUMED_INFERENCE_STEPS)
    timestep, k, offset, weight = _draws(options, last)
    if shares is not None:
        weight = weight * shares[timestep] * (last + 1)
        weight = weight / weight.sum()
    if options.mode == "visited":
        return _Outcomes(*block_and_source(k, offset, timestep, options, last, grid), weight)
    steps, source = cut_and_source(k, timestep, options, last, grid)
    return _Outcomes(steps, timestep.astype(np.float64), source, weight)


def _draws(options: Any, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Shares]:
    """Timestep, drawn k, the block's offset (0 in mode fresh) and probability of every draw, or of evenly spread ones.

    The spread ones are a rank-1 lattice, whose points lie evenly in a cube (its generators: Roberts 2018).
    """
    chance = offset_distribution(options)
    places = np.arange(1, len(chance) + 1) if options.mode == "visited" else np.ones(len(chance), dtype=np.int64)
    count = (last + 1) * int(places.sum())
    if count <= MOST_DRAWS:
        k = np.repeat(np.arange(len(chance)), places)
        offset = np.concatenate([np.arange(place) for place in places])
        weight = np.tile((chance / places)[k] / (last + 1), last + 1)
        return np.repeat(np.arange(last + 1), len(k)), np.tile(k, last + 1), np.tile(offset, last + 1), weight
    index = np.arange(MOST_DRAWS)
    first, second = ((0.5 + index * PLASTIC**-power) % 1 for power in (1, 2))
    k = np.minimum(np.searchsorted(np.cumsum(chance), first, side="right"), len(chance) - 1)
    offset = np.floor(second * places[k]).astype(np.int64)
    return index * (last + 1) // MOST_DRAWS, k, offset, np.full(MOST_DRAWS, 1 / MOST_DRAWS)
