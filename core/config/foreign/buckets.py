"""Aspect-ratio buckets of other tools, which make them from an area; here each size is written out."""

from collections.abc import Sequence

from core.data.buckets import MULTIPLE, Size

MOST = 64
"""Sizes of a list; other tools make about twenty."""


def sizes_of_area(area: float, least: int, most: int, step: int) -> tuple[Size, ...]:
    """The square and every other size of about an area whose sides are multiples of a step.

    Args:
        area: Pixels, above 0; no size has more.
        least: Shortest side, pixels.
        most: Longest side, pixels.
        step: A multiple of ``MULTIPLE``.

    Returns:
        Width and height of each, by width; empty where the numbers allow none or more than ``MOST``.
    """
    if not (area > 0 and 0 < least <= most <= 10_000 and step > 0 and step % MULTIPLE == 0):
        return ()
    side = int(area**0.5 // step) * step
    found = {(side, side)} if side > 0 else set()
    for width in range(least, most + 1, step):
        height = min(most, int(area // width // step) * step)
        if height >= least and width % MULTIPLE == 0:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found)) if len(found) <= MOST else ()


def sizes_of_shapes(shapes: Sequence[float], area: float, step: int) -> tuple[Size, ...]:
    """A size of about an area for each shape, its sides multiples of a step.

    Args:
        shapes: Width over height, above 0.
        area: Pixels, above 0.
        step: A multiple of ``MULTIPLE``.
    """
    if not (shapes and all(0.1 <= shape <= 10 for shape in shapes) and area > 0 and step % MULTIPLE == 0 < step):
        return ()
    sides = [((area * shape) ** 0.5, (area / shape) ** 0.5) for shape in shapes]
    made = [(max(step, round(w / step) * step), max(step, round(h / step) * step)) for w, h in sides]
    return tuple(dict.fromkeys(made)) if len(made) <= MOST else ()


def written(sizes: Sequence[Size]) -> str:
    """The sizes as ``aspect_ratio_buckets`` has them: ``height,width;height,width``."""
    return ";".join(f"{height},{width}" for width, height in sizes)
