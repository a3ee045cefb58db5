"""How long rollouts are: the distribution of k, its cut at the end of the noise schedule, the timesteps touched.

k counts rollout steps. An item with target timestep t starts at its source `u = t + k * stride`, and no source lies
beyond `last`, the noisiest timestep. With stride "inference" the steps are those of a grid of timesteps instead
(`grid_*` below). Numpy only: the page previews with these functions (`core.rollout.expected`).
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


def block_and_source(
    k: NDArray[np.int64], offset: NDArray[np.int64], timestep: Numbers, options: Any, last: int,
    grid: Numbers | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:  # fmt: skip
    """The block of a visited rollout that holds each anchor, elementwise.

    The timesteps that share the anchor's residue (modulo the stride; on a grid, its fractional index) are cut into
    blocks of k + 1, the first of which begins at the `offset`-th of them. With k drawn independently of the anchor and
    `offset` uniform on 0..k, a state is trained as often as it is an anchor, once each block's loss is shared out in
    proportion to the density of the timesteps. Blocks at both ends are shorter. An anchor outside the grid, its
    clean end 0 left out, is alone.

    Args:
        k: rollout steps drawn, 0 or more.
        offset: 0..k.
        timestep: anchors.
        options: the scheduled sampling options: stride.
        last: the noisiest timestep.
        grid: the inference grid, needed for stride "inference".

    Returns:
        Rollout steps of each block (its states - 1), its cleanest timestep, its noisiest timestep.
    """
    time = np.asarray(timestep, dtype=np.float64)
    nodes = None
    if options.stride != "inference":
        index, first = time / options.stride, 0
        # the allowance keeps a timestep at the end from losing its place to rounding
        noisier = np.floor((last - time) / options.stride + 1e-9)
    elif grid is None:
        raise ValueError('stride "inference" needs the timesteps of the inference grid')
    else:
        nodes = grid_nodes(grid)
        index, first = grid_index(nodes, time), 1
        noisier = np.floor(len(nodes) - 1 - index + 1e-9)
    place = np.floor(index + 1e-9)
    start = first + offset + np.floor((place - first - offset) / (k + 1)) * (k + 1)
    below = place - np.maximum(start, first)
    above = np.minimum(start + k - place, noisier)
    if nodes is None:
        return (below + above).astype(np.int64), time - below * options.stride, time + above * options.stride
    inside = (time >= nodes[1]) & (time <= nodes[-1])
    below, above = np.where(inside, below, 0.0), np.where(inside, above, 0.0)
    target = np.where(below > 0, grid_timestep(nodes, index - below), time)
    source = np.where(above > 0, grid_timestep(nodes, index + above), time)
    return (below + above).astype(np.int64), target, source
