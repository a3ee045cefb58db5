"""Pictures and prompts encoded once: the trainer never sees a file again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from core.data.dreambooth import Item
from core.data.pictures import read_picture

CROPS = 4
"""How many crops of a picture that is not square are cached when crops are not centred."""


@dataclass(frozen=True)
class LatentSet:
    """Latents and conditions of a list of pictures.

    Attributes:
        latents: every cached variant of every picture, scaled.
        first: index of each picture's first variant in ``latents``.
        variants: how many variants each picture has (crops × sides).
        prompt: index of each picture's prompt in ``conditions``.
        conditions: one row for each distinct prompt.
        empty: the condition without a prompt, for caption dropout.
        prompts: the distinct prompts, in the order of ``conditions``.
        repeats: how often each picture comes in an epoch.
    """

    latents: Float[Tensor, "variants c h w"]
    first: Int[Tensor, "pictures"]
    variants: Int[Tensor, "pictures"]
    prompt: Int[Tensor, "pictures"]
    conditions: Tensor
    empty: Tensor
    prompts: tuple[str, ...]
    repeats: Int[Tensor, "pictures"]

    @property
    def order(self) -> Int[Tensor, "places"]:
        """The picture at each place of an epoch, before it is shuffled."""
        return torch.repeat_interleave(self.repeats)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def pictures(self) -> Float[Tensor, "pictures c h w"]:
        """One latent a picture, its first variant."""
        return self.latents[self.first]

    @property
    def picture_prompts(self) -> tuple[str, ...]:
        """The prompt of each picture, in their order."""
        return tuple(self.prompts[place] for place in self.prompt.tolist())


def to_tensor(picture: Image.Image) -> Float[Tensor, "3 height width"]:
    """8-bit RGB to -1..1."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 127.5 - 1


def crops(picture: Image.Image, resolution: int, center_crop: bool) -> list[Image.Image]:
    """Squares as wide as the shorter side, scaled to ``resolution``.

    Centred, or at :data:`CROPS` evenly spaced places from one end to the other. A square picture has one crop.
    """
    side = min(picture.size)
    room = max(picture.size) - side
    places = [0.5] if center_crop or room == 0 else np.linspace(0, 1, min(CROPS, room + 1)).tolist()
    cut = []
    for place in places:  # cropped while it is scaled: a picture of 1 × 10,000 pixels never becomes a huge one
        left, top = (picture.width - side) * place, (picture.height - side) * place
        box = (left, top, left + side, top + side)
        cut.append(picture.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box))
    return cut


def encode(
    items: Sequence[Item],
    encode_pictures: Callable[[Tensor], Tensor],
    encode_prompts: Callable[[Sequence[str]], Tensor],
    empty_condition: Callable[[], Tensor],
    *,
    resolution: int,
    center_crop: bool,
    random_flip: bool,
    progress: Callable[[int, int], None],
) -> LatentSet:
    """Encodes every variant of every picture and every distinct prompt.

    Args:
        items: the pictures, in the order that the data stream indexes.
        encode_pictures: (n, 3, height, width) in -1..1 to latents.
        encode_prompts: prompts to conditions.
        empty_condition: the condition without a prompt.
        resolution: side of the square that is trained on, in pixels.
        center_crop: one centred crop, instead of several along the longer side.
        random_flip: cache the mirrored picture too.
        progress: called with (pictures done, pictures in all).
    """
    latents, first, variants = [], [], []
    for index, item in enumerate(items):
        pictures = [to_tensor(crop) for crop in crops(read_picture(item.path), resolution, center_crop)]
        if random_flip:
            pictures += [picture.flip(-1) for picture in pictures]
        first.append(sum(variants))
        variants.append(len(pictures))
        latents.append(encode_pictures(torch.stack(pictures)).float())
        progress(index + 1, len(items))
    prompts = tuple(dict.fromkeys(item.prompt for item in items))
    return LatentSet(
        latents=torch.cat(latents),
        first=torch.tensor(first),
        variants=torch.tensor(variants),
        prompt=torch.tensor([prompts.index(item.prompt) for item in items]),
        conditions=encode_prompts(prompts),
        empty=empty_condition(),
        prompts=prompts,
        repeats=torch.tensor([item.repeats for item in items]),
    )
