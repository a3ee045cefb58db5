"""Which pictures share a condition: what the posterior target chooses from.

Group 0 is the empty prompt: with caption dropout it stands for every picture. Each other group is one prompt, over all
sets of pictures, since a condition is all that the model sees.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.data.latents import LatentSet
from core.rollout.posterior import PosteriorMean

EMPTY_GROUP = 0


def group_prompts(sets: Sequence[LatentSet]) -> list[Int[Tensor, "prompts"]]:
    """For each set the group of each of its prompts; equal prompts share a group, over all sets."""
    names = [""]
    for pictures in sets:
        names += [prompt for prompt in pictures.prompts if prompt not in names]
    return [torch.tensor([names.index(prompt) for prompt in pictures.prompts]) for pictures in sets]


def latent_groups(pictures: LatentSet, groups: Int[Tensor, "prompts"]) -> Int[Tensor, "latents"]:
    """The group of each cached latent of a set."""
    return groups[pictures.prompt].repeat_interleave(pictures.variants)


def posterior_over(
    sets: Sequence[LatentSet], loss_weights: Sequence[float], caption_dropout: float, device: torch.device
) -> PosteriorMean:
    """The posterior mean over everything that is trained on.

    A latent counts as often as it is drawn, times the weight that its set has in the loss: pictures of a set by
    their repeats, variants of a picture alike. Where none that share a condition has any weight, they count as often
    as they are drawn: their states are rolled too, though nothing is learnt from them.

    Args:
        sets: instance pictures, then class pictures.
        loss_weights: of each set.
        caption_dropout: chance 0..1 that a caption is left out.
        device: where states will be.
    """
    latents = torch.cat([pictures.latents for pictures in sets])
    group = torch.cat([latent_groups(*pair) for pair in zip(sets, group_prompts(sets), strict=True)])
    weighted, drawn = (
        torch.cat([_frequency(*pair) for pair in zip(sets, weights, strict=True)])
        for weights in (loss_weights, [1.0] * len(sets))
    )
    found = []
    for number in range(int(group.max()) + 1):
        chance = torch.where(group == number, 1.0 if number == EMPTY_GROUP else 1 - caption_dropout, 0.0)
        if number == EMPTY_GROUP:
            chance = torch.where(group == number, chance, caption_dropout)
        share = chance * (weighted if bool((chance * weighted).float().any()) else drawn)
        index = torch.nonzero(share.float() > 0).flatten()
        found.append((index, share[index]))
    return PosteriorMean(latents, found, device)


def _frequency(pictures: LatentSet, loss_weight: float) -> Float[Tensor, "latents"]:
    each = loss_weight * pictures.repeats / (pictures.repeats.sum() * pictures.variants.double())
    return each.repeat_interleave(pictures.variants)
