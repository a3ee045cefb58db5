"""Masks: what of a picture is to be learnt, white on black. Imports no torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.crops import Cut
from core.data.pictures import read_picture
from core.errors import DataError, Problem

MASK_MARK = "-masklabel"
"""Ends the stem of a mask that lies beside its picture: ``a-masklabel.png`` is the mask of ``a.png``."""
MASKS_FOLDER = "masks"
"""Holds masks under the names of their pictures: ``masks/a.png``."""


def masks_of(pictures: Sequence[Path], beside: Sequence[Path], folder: Sequence[Path]) -> dict[Path, Path]:
    """The mask of each picture that has one; the one beside it comes before the one in the masks folder.

    Args:
        pictures: of one folder.
        beside: the masks that lie among them.
        folder: the pictures in its masks folder.
    """
    near = {path.stem.removesuffix(MASK_MARK): path for path in beside}
    far = {path.stem: path for path in folder}
    found = {path: near.get(path.stem, far.get(path.stem)) for path in pictures}
    return {path: mask for path, mask in found.items() if mask is not None}


def is_mask(path: Path) -> bool:
    """Whether a picture file is called as a mask."""
    return path.stem.endswith(MASK_MARK)


def check_mask(mask: Path, picture: Path, size: tuple[int, int]) -> None:
    """Passes a mask that can be used.

    Args:
        mask: the file.
        picture: whose mask it is.
        size: width and height of that, pixels.

    Raises:
        DataError: it cannot be read, has another size, or is black all over.
    """
    found = read_picture(mask).convert("L")
    name = mask.name if mask.parent == picture.parent else f"{mask.parent.name}/{mask.name}"
    if found.size != size:
        rule = f"{name} must be as large as {picture.name}, {size[0]} × {size[1]} pixels, got"
        raise DataError([Problem(name, f"{rule} {found.width} × {found.height}; save it at that size")])
    if found.getextrema()[1] == 0:
        rule = f"{name} must show in white what is to be learnt of {picture.name}, got black all over"
        raise DataError([Problem(name, f"{rule}; paint it or remove it")])


def weights_of(mask: Path | None, placed: Sequence[Cut], size: tuple[int, int], unmasked_weight: float) -> np.ndarray:
    """How much each latent pixel of each crop counts, (crops, 1, height, width), float32, 0..1.

    Args:
        mask: white counts 1, black ``unmasked_weight``, grey in between; None counts 1 all over.
        placed: the crops of the picture.
        size: width and height of the latents.
        unmasked_weight: 0..1.
    """
    if mask is None:
        return np.ones((len(placed), 1, size[1], size[0]), np.float32)
    picture = read_picture(mask).convert("L")
    cut = [np.array(picture.resize(size, Image.Resampling.BOX, box=each.box), np.float32) / 255 for each in placed]
    return (unmasked_weight + (1 - unmasked_weight) * np.stack(cut)[:, None]).astype(np.float32)
