"""Aspect-ratio buckets: the sizes that pictures of different shapes are trained at. Imports no torch."""

import re
from collections.abc import Sequence

Size = tuple[int, int]
"""Width and height, pixels."""
MULTIPLE = 8
_PAIR = re.compile(r"\s*([0-9]{1,5})\s*,\s*([0-9]{1,5})\s*")


def parse_buckets(text: str) -> tuple[Size, ...]:
    """Buckets as diffusers' scripts write them: ``height,width;height,width``; each once.

    Raises:
        ValueError: it is something else; the message names the part, in words that follow "got".
    """
    found: list[Size] = []
    for part in text.split(";"):
        pair = _PAIR.fullmatch(part)
        if pair is None:
            raise ValueError(f"{part.strip()!r}")
        height, width = int(pair[1]), int(pair[2])
        if min(height, width) < MULTIPLE or height % MULTIPLE or width % MULTIPLE:
            raise ValueError(f"{part.strip()!r}, which is no multiple of {MULTIPLE}")
        found.append((width, height))
    return tuple(dict.fromkeys(found))


def bucket_of(size: Size, buckets: Sequence[Size]) -> Size:
    """The bucket whose shape a picture is nearest to, as ``diffusers.training_utils.find_nearest_bucket`` chooses it.

    Args:
        size: of the picture.
        buckets: at least one; of equally near ones the last is taken.
    """
    width, height = size
    return min(reversed(buckets), key=lambda bucket: abs(height * bucket[0] - width * bucket[1]))


def buckets_in_force(aspect_ratio_buckets: str | None, resolution: int) -> tuple[Size, ...]:
    """The buckets of a configuration; without any, the square of its resolution.

    Raises:
        ValueError: see :func:`parse_buckets`.
    """
    return ((resolution, resolution),) if aspect_ratio_buckets is None else parse_buckets(aspect_ratio_buckets)
