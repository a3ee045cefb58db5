"""The landing test through each family's own ``predict``: an oracle in its network's place carries items exactly."""

import pytest
import torch
from tiny_families import CLASSES
from torch import nn

from core.models.packing import pack
from core.models.stable_diffusion import StableDiffusion
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import ORDERS, SAMPLERS

SAMPLER_ORDERS = [
    (name, order) for name, entry in SAMPLERS.items() for order in (ORDERS if entry.takes_order else (2,))
]
LENGTHS = [(1, 1), (10, 1), (4, 25), (3, 125), (10, 99), (2, 499), (1, 998)]
POOLED = 7.0


class Oracle(nn.Module):
    """Is called as the family's own network is, and returns the exact prediction of the item that its tokens name."""

    def __init__(self, family, clean, noise):
        super().__init__()
        self.family, self.clean, self.noise = family, clean, noise

    def forward(self, *args, **kwargs):
        item = kwargs["encoder_hidden_states"][:, 0, 0].round().long()
        assert bool((kwargs["encoder_hidden_states"] == item[:, None, None]).all())
        return (self.answer(item, *args, **kwargs),)

    def exact(self, item, timestep):
        """In the family's own kind."""
        clean, noise, kind = self.clean[item], self.noise[item], self.family.kind
        alpha, sigma = (
            part(timestep).float()[:, None, None, None]
            for part in (self.family.schedule.alpha, self.family.schedule.sigma)
        )
        if kind == "flow_matching":
            return noise - clean
        return {"epsilon": noise, "v_prediction": alpha * noise - sigma * clean, "sample": clean}[kind]


class StableDiffusionOracle(Oracle):
    def answer(self, item, noisy, timestep, encoder_hidden_states, return_dict):
        return self.exact(item, timestep)


class SDXLOracle(Oracle):
    def answer(self, item, noisy, timestep, encoder_hidden_states, added_cond_kwargs, return_dict):
        assert added_cond_kwargs["text_embeds"].shape == (len(item), 20)
        assert bool((added_cond_kwargs["text_embeds"] == item[:, None] + POOLED).all())
        assert bool((added_cond_kwargs["time_ids"] == torch.tensor([16.0, 16.0, 0.0, 0.0, 16.0, 16.0])).all())
        return self.exact(item, timestep)


class SD3Oracle(Oracle):
    def answer(self, item, hidden_states, timestep, encoder_hidden_states, pooled_projections, return_dict):
        assert pooled_projections.shape == (len(item), 28)
        assert bool((pooled_projections == item[:, None] + POOLED).all())
        return self.exact(item, timestep)


class FluxOracle(Oracle):
    def answer(
        self, item, hidden_states, timestep, guidance, pooled_projections, encoder_hidden_states, txt_ids, img_ids,
        return_dict,
    ):  # fmt: skip
        assert bool((guidance == 3.5).all())
        assert bool((timestep <= 1).all())
        assert bool((pooled_projections == item[:, None] + POOLED).all())
        assert txt_ids.shape == (encoder_hidden_states.shape[1], 3)
        rows, columns = img_ids[:, 1].long(), img_ids[:, 2].long()
        exact = self.exact(item, timestep * 1000)
        tokens = [
            exact[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(1)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        assert hidden_states.shape == (len(item), len(tokens), 16)
        return torch.stack(tokens, dim=1)


ORACLES = {"sdxl": SDXLOracle, "sd3": SD3Oracle, "flux": FluxOracle}
POOLED_WIDTH = {"sdxl": 20, "sd3": 28, "flux": 16}


def loaded(name, bases, family_bases):
    """The family, its oracle's class, and what conditions of items look like to it."""
    if name not in ORACLES:
        return StableDiffusion.load(str(bases[name])), StableDiffusionOracle, lambda tokens: tokens
    family, width = CLASSES[name].load(str(family_bases[name])), POOLED_WIDTH[name]

    def condition(tokens):
        pooled = tokens[:, 0, :1].expand(-1, width) + POOLED
        framing = [torch.zeros(len(tokens), 6)] if name == "sdxl" else []
        return pack(tokens, pooled, *framing)

    return family, ORACLES[name], condition


@pytest.mark.parametrize(("sampler", "order"), SAMPLER_ORDERS)
@pytest.mark.parametrize("name", ["epsilon", "v_prediction", "sample", "flow_matching", *ORACLES])
def test_a_network_that_knows_the_pair_lands_exactly(name, sampler, order, bases, family_bases):
    family, oracle, condition = loaded(name, bases, family_bases)
    last = family.schedule.last - (1 if family.kind == "epsilon" and family.schedule.ends_in_pure_noise else 0)
    ends = [(max(end, k * stride), k, stride) for k, stride in LENGTHS for end in (last, 617, k * stride)]
    source, steps, stride = (torch.tensor(column) for column in zip(*ends, strict=True))
    plan = RolloutPlan(source=source, target=source - steps * stride, steps=steps)
    clean, noise = torch.randn((2, len(ends), 4, 8, 8), generator=torch.Generator().manual_seed(0))
    network = oracle(family, clean, noise)
    conditions = condition(torch.arange(len(ends)).float()[:, None, None].expand(-1, 5, 32).contiguous())

    def denoiser(noisy, timestep, items):
        return family.predict(network, noisy, timestep, conditions[items])

    result = roll(
        denoiser, clean, noise, plan, schedule=family.schedule, kind=family.kind, sampler=sampler, order=order
    )
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-5)
