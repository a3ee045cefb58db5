"""How long rollouts are: the distribution of k, its cut at the end of the noise schedule, the timesteps touched.

k counts rollout steps. An item with target timestep t starts at its source `u = t + k * stride`, and no source lies
beyond `last`, the noisiest timestep. With stride "inference" the steps are those of a grid of timesteps instead
(`grid_*` below). Expectations take the targets as uniform over the timesteps 0..last. Numpy only: the page previews
with these functions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = float | Sequence[float] | NDArray[Any]

STRATEGIES: Mapping[str, Callable[[int, NDArray[np.float64]], NDArray[np.float64]]] = {
    "uniform": lambda longest, u: np.floor(u * (longest + 1)),
    "biased_early": lambda longest, u: np.round(longest * u**2),
    "biased_late": lambda longest, u: np.round(longest * (1 - u**2)),
}
"""How a uniform number u in [0, 1) becomes an offset in 0..longest."""

ASSUMED_INFERENCE_STEPS = 28
"""Steps of the even grid that a forecast assumes for stride "inference" when it is given no grid."""


def offsets_from(u: NDArray[np.float64], options: Any) -> NDArray[np.int64]:
    """Turns uniform numbers in [0, 1) into offsets k in 0..max_step_offset, before the cut.

    Raises:
        ValueError: if options.strategy is unknown.
    """
    if options.strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}, got {options.strategy!r}")
    return STRATEGIES[options.strategy](options.max_step_offset, u).astype(np.int64)


def offset_distribution(options: Any) -> NDArray[np.float64]:
    """P(k) for k = 0..max_step_offset, of an item that is picked for a rollout, before the cut; sums to 1.

    Uniform is 1/(K+1), k = 0 included. `round(K u^2) = k` has the probability `sqrt((k+1/2)/K) - sqrt((k-1/2)/K)`, and
    biased_late is its mirror image.
    """
    longest = options.max_step_offset
    offsets_from(np.zeros(1), options)
    if options.strategy == "uniform" or longest == 0:
        return np.full(longest + 1, 1 / (longest + 1))
    edges = np.sqrt(np.clip(np.arange(longest + 2) - 0.5, 0, longest) / longest)
    early = np.diff(edges)
    return early if options.strategy == "biased_early" else early[::-1].copy()


def cut(k: Numbers, timestep: Numbers, stride: int, last: int) -> NDArray[np.int64]:
    """k, cut to `floor((last - timestep) / stride)` so that the source does not lie beyond `last`; elementwise."""
    room = np.floor((last - np.asarray(timestep)) / stride).astype(np.int64)
    return np.minimum(np.asarray(k, dtype=np.int64), np.maximum(room, 0))


def even_grid(last: int, inference_steps: int) -> NDArray[np.float64]:
    """The grid of a sampler with equally spaced timesteps, ascending, `last` included."""
    return last * np.arange(1, inference_steps + 1) / inference_steps


def grid_nodes(grid: Numbers) -> NDArray[np.float64]:
    """Ascending grid timesteps with the clean end 0 before them (unless it is there already).

    Raises:
        ValueError: if the timesteps are not ascending, or negative, or there is none above 0.
    """
    nodes = np.asarray(grid, dtype=np.float64)
    nodes = nodes if len(nodes) > 0 and nodes[0] == 0 else np.concatenate([[0.0], nodes])
    if len(nodes) < 2 or not np.all(np.diff(nodes) > 0):
        raise ValueError("grid must hold ascending timesteps above 0")
    return nodes


def grid_index(nodes: NDArray[np.float64], timestep: Numbers) -> NDArray[np.float64]:
    """G^-1: the fractional index of a timestep on the grid, where G is linear in the index."""
    return np.interp(np.asarray(timestep, dtype=np.float64), nodes, np.arange(len(nodes)))


def grid_timestep(nodes: NDArray[np.float64], index: Numbers) -> NDArray[np.float64]:
    """G: the timestep at a fractional index of the grid."""
    return np.interp(np.asarray(index, dtype=np.float64), np.arange(len(nodes)), nodes)


def cut_to_grid(k: Numbers, timestep: Numbers, nodes: NDArray[np.float64]) -> NDArray[np.int64]:
    """k, cut to the grid's noisy end; 0 for a timestep below the grid's first point above 0, or above its last."""
    time = np.asarray(timestep, dtype=np.float64)
    # the small allowance keeps a timestep that lies on a grid point from losing a step to rounding
    room = np.floor(len(nodes) - 1 - grid_index(nodes, time) + 1e-9).astype(np.int64)
    inside = (time >= nodes[1]) & (time <= nodes[-1])
    return np.where(inside, np.minimum(np.asarray(k, dtype=np.int64), room), 0)


def cut_and_source(
    k: Numbers, timestep: Numbers, options: Any, last: int, grid: Numbers | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cut offsets and the source timesteps, elementwise; stride "inference" needs the grid."""
    time = np.asarray(timestep, dtype=np.float64)
    if options.stride != "inference":
        steps = cut(k, time, options.stride, last)
        return steps, time + steps * options.stride
    if grid is None:
        raise ValueError('stride "inference" needs the timesteps of the inference grid')
    nodes = grid_nodes(grid)
    steps = cut_to_grid(k, time, nodes)
    return steps, np.where(steps > 0, grid_timestep(nodes, grid_index(nodes, time) + steps), time)


def cut_distribution(options: Any, last: int, grid: Numbers | None = None) -> NDArray[np.float64]:
    """P(k) for k = 0..max_step_offset, of an item that is picked for a rollout, after the cut; sums to 1."""
    steps, _, weight = _outcomes(options, last, grid)
    return _counted(steps, weight, options.max_step_offset + 1)


def mean_offset(options: Any, last: int, grid: Numbers | None = None) -> float:
    """E[k] after the cut, of an item that is picked for a rollout."""
    share = cut_distribution(options, last, grid)
    return float(share @ np.arange(len(share)))


def expected_max_offset(options: Any, batch: int, p: float, last: int, grid: Numbers | None = None) -> float:
    """E[max k] over a batch whose items are each picked with probability p: the rollout steps that the batch takes."""
    return float(expected_longest(cut_distribution(options, last, grid), batch, np.array([p]))[0])


def expected_longest(share: NDArray[np.float64], batch: int, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """E[max k] for many probabilities at once: `sum_k 1 - (1 - p + p F(k))^batch` over k = 0..K-1.

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
    options: Any, last: int, bins: int = 50, grid: Numbers | None = None
) -> dict[str, NDArray[np.float64]]:
    """Which timesteps rollouts touch, for the preview; of items that are picked for a rollout.

    Returns:
        edges: (bins + 1,), timesteps 0..last.
        target: (bins,), share of the items that are trained there; sums to 1.
        source: (bins,), share of the items whose rollout starts there (k = 0: at the target itself); sums to 1.
        covered: (bins,), chance that a rollout (k > 0) passes through the bin or ends in it.
    """
    edges = np.linspace(0, last, bins + 1)
    steps, source, weight = _outcomes(options, last, grid)
    target = np.broadcast_to(np.arange(last + 1.0)[:, None], steps.shape)
    rolled = np.where(steps > 0, weight, 0.0)

    def bin_of(timestep: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip(np.searchsorted(edges, timestep.ravel(), side="right") - 1, 0, bins - 1)

    first, final = bin_of(target), bin_of(source)
    enter, leave = _counted(first, rolled, bins + 1), _counted(final + 1, rolled, bins + 1)
    return {
        "edges": edges,
        "target": _counted(first, weight, bins),
        "source": _counted(final, weight, bins),
        "covered": np.cumsum(enter - leave)[:bins].clip(0.0, 1.0),
    }


def _counted(values: NDArray[np.int64], weight: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """The weight that falls on each of 0..length-1."""
    return np.bincount(values.ravel(), weights=weight.ravel(), minlength=length).astype(np.float64)


def _outcomes(
    options: Any, last: int, grid: Numbers | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Cut offset, source and probability of every (target timestep, drawn k), each of shape (last + 1, K + 1)."""
    if options.stride == "inference" and grid is None:
        grid = even_grid(last, ASSUMED_INFERENCE_STEPS)
    share = offset_distribution(options)
    target, k = np.meshgrid(np.arange(last + 1.0), np.arange(len(share)), indexing="ij")
    steps, source = cut_and_source(k, target, options, last, grid)
    return steps, source, np.broadcast_to(share / (last + 1), steps.shape)
