"""Several tensors in one condition row an item: what a network takes beside its prompt goes into rows of its own."""

from collections.abc import Sequence
from math import ceil

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad


def pack(
    embeddings: Float[Tensor, "n tokens width"], *vectors: Float[Tensor, "n _"]
) -> Float[Tensor, "n rows width"]:  # fmt: skip
    """Puts vectors below the tokens, each padded with zeros to whole rows, in float32.

    >>> pack(torch.ones(1, 2, 3), torch.full((1, 4), 2.0))[0].tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [2.0, 0.0, 0.0]]
    """
    width = embeddings.shape[2]
    rows = [
        pad(vector, (0, _rows(vector.shape[1], width) * width - vector.shape[1])).unflatten(1, (-1, width))
        for vector in vectors
    ]
    return torch.cat([part.float() for part in (embeddings, *rows)], dim=1)


def unpack(condition: Float[Tensor, "n rows width"], lengths: Sequence[int]) -> tuple[Tensor, ...]:
    """The tokens (n, tokens, width) and the vectors (n, length) that ``pack`` put together.

    Args:
        condition: from ``pack``.
        lengths: of the vectors, in their order.
    """
    width = condition.shape[2]
    counts = [_rows(length, width) for length in lengths]
    tokens, *parts = condition.split([condition.shape[1] - sum(counts), *counts], dim=1)
    return tokens, *(part.flatten(1)[:, :length] for part, length in zip(parts, lengths, strict=True))


def _rows(length: int, width: int) -> int:
    return ceil(length / width)
