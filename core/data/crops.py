"""Where pictures are cut, and what a network that is told so hears of it. Imports no torch."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

CROPS = 4
"""How many crops of a picture of another shape are cached when crops are not centred."""


@dataclass(frozen=True)
class Cut:
    """One crop of a picture, scaled.

    Attributes:
        picture: width and height of the picture, pixels.
        box: left, top, right and bottom of the crop in it, pixels.
        size: width and height that the crop is scaled to, pixels.
    """

    picture: tuple[int, int]
    box: tuple[float, float, float, float]
    size: tuple[int, int]

    def of(self, picture: Image.Image) -> Image.Image:
        """The crop, cut while it is scaled: a picture of 1 × 10,000 pixels never becomes a huge one."""
        return picture.resize(self.size, Image.Resampling.LANCZOS, box=self.box)

    def framing(self, *, mirrored: bool) -> tuple[int, int, int, int, int, int]:
        """SDXL's micro-conditioning (Podell et al. 2023, section 2.2): six whole numbers of pixels.

        Original height and width; top and left of the crop in the scaled picture, which was mirrored before it was
        cut; height and width of the crop.
        """
        left, top, right, _ = self.box
        scale = self.size[0] / (right - left)
        if mirrored:
            left = self.picture[0] - right
        width, height = self.picture
        return height, width, round(top * scale), round(left * scale), self.size[1], self.size[0]


def cuts(picture: tuple[int, int], size: tuple[int, int], center_crop: bool) -> list[Cut]:
    """The largest crops of a picture that have the shape of ``size``.

    Centred, or at :data:`CROPS` evenly spaced places from one end to the other. A picture of that shape has one crop.

    Args:
        picture: width and height of the picture, pixels.
        size: width and height that crops are scaled to, pixels.
        center_crop: one crop, in the middle.
    """
    width, height = picture
    across, down = size
    if width * down > height * across:  # the picture is wider
        wide, high = height * across / down, float(height)
    else:
        wide, high = float(width), width * down / across
    room = max(width - wide, height - high)
    count = 1 if center_crop else min(CROPS, int(room) + 1)
    found = []
    for place in [0.5] if count == 1 else np.linspace(0, 1, count).tolist():
        left, top = (width - wide) * place, (height - high) * place
        found.append(Cut(picture, (left, top, min(left + wide, width), min(top + high, height)), size))
    return found
