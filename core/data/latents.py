"""Pictures and prompts encoded once: the trainer never sees a file again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from core.data.buckets import Size
from core.data.crops import Cut, cuts
from core.data.dreambooth import Item
from core.data.masks import weights_of
from core.data.pictures import read_picture


@dataclass(frozen=True)
class LatentSet:
    """Latents and conditions of a list of pictures.

    Attributes:
        latents: every cached variant of every picture, scaled.
        first: index of each picture's first variant in ``latents``.
        variants: how many variants each picture has (crops × sides).
        framing: how each variant was cut, see :meth:`core.data.crops.Cut.framing`, pixels.
        prompt: index of each picture's prompt in ``conditions``.
        conditions: one row for each distinct prompt.
        empty: the condition without a prompt, for caption dropout.
        prompts: the distinct prompts, in the order of ``conditions``.
        repeats: how often each picture comes in an epoch.
        masks: how much each latent pixel of each variant counts in the loss, 0..1; None: all alike.
    """

    latents: Float[Tensor, "variants c h w"]
    first: Int[Tensor, "pictures"]
    variants: Int[Tensor, "pictures"]
    framing: Int[Tensor, "variants 6"]
    prompt: Int[Tensor, "pictures"]
    conditions: Tensor
    empty: Tensor
    prompts: tuple[str, ...]
    repeats: Int[Tensor, "pictures"]
    masks: Float[Tensor, "variants 1 h w"] | None = None

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


class Keep(Protocol):
    """Gives what ``make`` makes from these facts, or made before."""

    def __call__(self, facts: tuple, make: Callable[[], Tensor]) -> Tensor:
        """The tensor in float32."""
        ...


def made_anew(facts: tuple, make: Callable[[], Tensor]) -> Tensor:
    """Keeps nothing."""
    return make().float()


def encode(
    items: Sequence[Item],
    encode_pictures: Callable[[Tensor], Tensor],
    encode_prompts: Callable[[Sequence[str]], Tensor],
    empty_condition: Callable[[], Tensor],
    *,
    size: Size,
    center_crop: bool,
    random_flip: bool,
    progress: Callable[[int, int], None],
    unmasked_weight: float | None = None,
    contents: Sequence[str] | None = None,
    keep_pictures: Keep = made_anew,
    keep_prompts: Keep = made_anew,
) -> LatentSet:
    """Encodes every variant of every picture and every distinct prompt.

    The variants of one picture are encoded together, and each prompt alone: what comes out of one never depends, in its
    last bits, on which others had to be encoded.

    Args:
        items: the pictures, in the order that the data stream indexes.
        encode_pictures: (n, 3, height, width) in -1..1 to latents.
        encode_prompts: prompts to conditions.
        empty_condition: the condition without a prompt.
        size: width and height that is trained at, in pixels.
        center_crop: one centred crop, instead of several along the longer side.
        random_flip: cache the mirrored picture too.
        progress: called with (pictures done, pictures in all).
        unmasked_weight: how much counts what masks show in black; None: masks are not used.
        contents: digest of each picture's file, by which ``keep_pictures`` knows it; None where nothing is kept.
        keep_pictures: gives latents that were encoded before.
        keep_prompts: gives conditions that were encoded before.
    """
    latents, framing, masks = [], [], []
    for index, item in enumerate(items):
        placed = cuts((item.width, item.height), size, center_crop)
        facts = ("picture", None if contents is None else contents[index], size, center_crop, random_flip)
        latents.append(keep_pictures(facts, partial(_variants, item, placed, random_flip, encode_pictures)))
        if unmasked_weight is not None:
            masks.append(_masks(item, placed, random_flip, latents[-1], unmasked_weight))
        sides = (False, True) if random_flip else (False,)
        framing += [cut.framing(mirrored=mirrored) for mirrored in sides for cut in placed]
        progress(index + 1, len(items))
    prompts = tuple(dict.fromkeys(item.prompt for item in items))
    variants = torch.tensor([len(each) for each in latents])
    return LatentSet(
        latents=torch.cat(latents),
        first=variants.cumsum(0) - variants,
        variants=variants,
        framing=torch.tensor(framing),
        prompt=torch.tensor([prompts.index(item.prompt) for item in items]),
        conditions=torch.cat([keep_prompts(("prompt", text), partial(encode_prompts, [text])) for text in prompts]),
        empty=keep_prompts(("empty",), empty_condition),
        prompts=prompts,
        repeats=torch.tensor([item.repeats for item in items]),
        masks=torch.cat(masks) if masks else None,
    )


def _variants(
    item: Item, placed: Sequence[Cut], random_flip: bool, encode_pictures: Callable[[Tensor], Tensor]
) -> Tensor:
    picture = read_picture(item.path)
    pictures = [to_tensor(cut.of(picture)) for cut in placed]
    if random_flip:
        pictures += [picture.flip(-1) for picture in pictures]
    return encode_pictures(torch.stack(pictures))


def _masks(item: Item, placed: Sequence[Cut], random_flip: bool, latents: Tensor, unmasked_weight: float) -> Tensor:
    """Cut and mirrored as the picture itself."""
    height, width = latents.shape[-2:]
    weights = torch.from_numpy(weights_of(item.mask, placed, (width, height), unmasked_weight))
    return torch.cat([weights, weights.flip(-1)]) if random_flip else weights
