"""The scores of finished samples together: whole where they can be, and never an error in a training."""

import math
from dataclasses import asdict

import pytest
import torch

from core.evaluation.chain import diversity, log_variance
from core.evaluation.energy_distance import energy_distance
from core.evaluation.scores import chain_scores
from core.runs.drift import ChainScores


def latents(count, side=16, seed=0):
    return torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(seed))


def scores(samples, clean):
    return chain_scores(samples, clean, inference_steps=20, guidance=1.5)


def test_every_score_is_the_one_of_its_own_function():
    samples, clean = latents(16, seed=1), latents(8, seed=2)
    found, energy = scores(samples, clean), energy_distance(samples, clean)
    assert (found.samples, found.inference_steps, found.guidance) == (16, 20, 1.5)
    assert (found.energy_distance, found.energy_p) == (energy.distance, energy.p)
    assert found.v == log_variance(samples, clean)
    assert found.diversity == diversity(samples, clean)
    assert len(found.bands) == 6
    assert found.adherence is None
    assert all(math.isfinite(value) for value in asdict(found).values() if isinstance(value, float))


@pytest.mark.parametrize(("samples", "clean"), [(1, 1), (1, 6), (6, 1), (2, 2)])
@pytest.mark.parametrize("side", [1, 4, 16])
def test_few_and_tiny_latents_have_what_can_be_had(samples, clean, side):
    found = scores(latents(samples, side, seed=1), latents(clean, side, seed=2))
    assert math.isfinite(found.energy_distance)
    assert 0 < found.energy_p <= 1
    assert math.isnan(found.diversity) == (samples == 1 or clean == 1)
    assert (found.bands == ()) == (side < 16) == math.isnan(found.high)


@pytest.mark.parametrize(
    ("samples", "clean"),
    [
        (torch.zeros(3, 4, 16, 16), latents(3)),
        (latents(3), torch.zeros(3, 4, 16, 16)),
        (torch.full((3, 4, 16, 16), math.nan), latents(3)),
        (torch.full((3, 4, 16, 16), math.inf), latents(3)),
    ],
)
def test_a_model_that_broke_down_is_scored_without_an_error(samples, clean):
    found = scores(samples, clean)
    assert ChainScores.from_dict(asdict(found)).samples == 3
    assert not math.isfinite(found.v)
