"""The posterior target: the exact optimum of a finite set at any distance, and the item's own x0 near it."""

import pytest
import torch
from analytic_flows import predict_from_clean
from noise_schedules import SCHEDULES

from core.noise.prediction import KINDS, expand
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.posterior import PosteriorMean
from core.rollout.target import training_target

CPU = torch.device("cpu")


def small_set(count=5, seed=0, spread=1.0):
    return spread * torch.randn(count, 2, 3, 3, generator=torch.Generator().manual_seed(seed))


def whole(latents, share=None):
    share = torch.ones(len(latents)) if share is None else share
    return PosteriorMean(latents, [(torch.arange(len(latents)), share)], CPU)


def by_definition(noisy, latents, alpha, sigma, share=None):
    """The formula in float64, with a loop."""
    share = torch.ones(len(latents)).double() if share is None else share.double()
    found = []
    for state, a, s in zip(noisy.double(), alpha.double(), sigma.double(), strict=True):
        distance = (state - a * latents.double()).square().flatten(1).sum(1)
        weights = torch.softmax(share.log() - distance / (2 * s * s), 0)
        found.append((weights.view(-1, 1, 1, 1) * latents.double()).sum(0))
    return torch.stack(found)


class ExactField:
    """The optimal denoiser of a finite set: Karras et al. 2022, appendix B.3."""

    def __init__(self, latents, schedule, kind):
        self.latents, self.schedule, self.kind = latents, schedule, kind

    def clean(self, noisy, timestep):
        return by_definition(noisy, self.latents, self.schedule.alpha(timestep), self.schedule.sigma(timestep))

    def __call__(self, noisy, timestep, items):
        return predict_from_clean(self.clean(noisy, timestep), noisy, timestep, self.schedule, self.kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 10, 18])
def test_the_target_stays_the_optimum_however_long_the_rollout_was(kind, k):
    """At the state where the exact field arrived, the target is what the exact field itself predicts there."""
    schedule = SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]
    latents, field = small_set(), ExactField(small_set(), schedule, kind)
    clean = latents.repeat(4, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    target = torch.full((len(clean),), 60)
    plan = RolloutPlan(source=target + 50 * k, target=target, steps=torch.full_like(target, k))
    result = roll(field, clean, noise, plan, schedule=schedule, kind=kind, sampler="euler")
    alpha, sigma = schedule.alpha(target), schedule.sigma(target)
    found = whole(latents)(result.rolled, alpha=alpha, sigma=sigma, group=torch.zeros_like(target))
    weights = {"alpha": alpha, "sigma": sigma, "kind": kind}
    aim = training_target("posterior", result.rolled, clean, noise, **weights, posterior=found.clean)
    torch.testing.assert_close(aim, field(result.rolled, target, None).float(), rtol=1e-3, atol=1e-3)


def test_the_anchored_target_does_not_stay_the_optimum():
    """Why it matters: far away the item's own x0 is one of several that the state could come from."""
    schedule, kind = SCHEDULES["stable_diffusion"], "v_prediction"
    latents = small_set()
    clean = latents.repeat(8, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    target = torch.full((len(clean),), 60)

    def distance(k):
        plan = RolloutPlan(source=target + 50 * k, target=target, steps=torch.full_like(target, k))
        field = ExactField(latents, schedule, kind)
        rolled = roll(field, clean, noise, plan, schedule=schedule, kind=kind, sampler="euler").rolled
        weights = {"alpha": schedule.alpha(target), "sigma": schedule.sigma(target), "kind": kind}
        aim = training_target("anchored", rolled, clean, noise, **weights)
        return (aim - field(rolled, target, None)).square().mean().item()

    assert distance(18) > 100 * distance(1)


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_anchored_target_where_one_latent_has_all_the_weight(kind):
    schedule = SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]
    latents = small_set(spread=20.0)
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([30, 100, 200, 250, 300])
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    rolled = expand(alpha, latents) * latents + expand(sigma, latents) * noise
    found = whole(latents)(rolled, alpha=alpha, sigma=sigma, group=torch.zeros(5, dtype=torch.long))
    assert (found.nearest == 1).all()
    assert (found.entropy == 0).all()
    weights = {"alpha": alpha, "sigma": sigma, "kind": kind}
    posterior = training_target("posterior", rolled, latents, noise, **weights, posterior=found.clean)
    anchored = training_target("anchored", rolled, latents, noise, **weights)
    torch.testing.assert_close(posterior, anchored, rtol=1e-5, atol=1e-4)


def test_items_that_were_not_rolled_keep_the_pairs_target():
    clean, noise = small_set(), small_set(seed=1)
    weights = {"alpha": torch.full((5,), 0.6), "sigma": torch.full((5,), 0.8), "kind": "epsilon"}
    steps = torch.tensor([0, 1, 0, 2, 0])
    aim = training_target("posterior", clean, clean, noise, **weights, steps=steps, posterior=torch.zeros_like(clean))
    assert torch.equal(aim[steps == 0], noise[steps == 0])
    assert not torch.isclose(aim[steps > 0], noise[steps > 0]).all()


@pytest.mark.parametrize("spread", [0.01, 1.0, 50.0])
@pytest.mark.parametrize("sigma", [1e-4, 0.1, 0.9, 1.0])
def test_it_is_the_formula_in_float32(spread, sigma):
    latents = 3.0 + small_set(20, spread=spread)
    a, s = torch.full((6,), (1 - sigma**2) ** 0.5), torch.full((6,), sigma)
    noisy = expand(a, latents) * latents[:6] + sigma * small_set(6, seed=5)
    share = torch.linspace(1, 4, 20)
    found = whole(latents, share)(noisy, alpha=a, sigma=s, group=torch.zeros(6, dtype=torch.long))
    expected = by_definition(noisy, latents, a, s, share)
    torch.testing.assert_close(found.clean.double(), expected, rtol=1e-3, atol=2e-3 * spread)


def test_latents_count_as_often_as_they_are_drawn():
    latents = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    pure = {"alpha": torch.zeros(1), "sigma": torch.ones(1), "group": torch.zeros(1, dtype=torch.long)}
    found = whole(latents, torch.tensor([1.0, 3.0]))(torch.randn(1, 1, 2, 2), **pure)
    torch.testing.assert_close(found.clean, torch.full((1, 1, 2, 2), 0.75))
    expected = -(0.25 * torch.tensor(0.25).log() + 0.75 * torch.tensor(0.75).log())
    torch.testing.assert_close(found.entropy, expected[None])


def test_only_latents_of_the_items_own_group_are_candidates():
    latents = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 2, 2)
    groups = [(torch.tensor([0, 1]), torch.ones(2)), (torch.tensor([2, 3]), torch.ones(2))]
    pure = {"alpha": torch.zeros(3), "sigma": torch.ones(3), "group": torch.tensor([1, 0, 1])}
    found = PosteriorMean(latents, groups, CPU)(torch.zeros(3, 1, 2, 2), **pure)
    assert found.clean[:, 0, 0, 0].tolist() == [2.5, 0.5, 2.5]


def test_at_sigma_zero_the_nearest_latent_has_all_the_weight():
    latents = small_set()
    clean_end = {"alpha": torch.ones(5), "sigma": torch.zeros(5), "group": torch.zeros(5, dtype=torch.long)}
    found = whole(latents)(latents + 0.01, **clean_end)
    torch.testing.assert_close(found.clean, latents)


def test_a_missing_posterior_mean_is_refused():
    with pytest.raises(ValueError, match="posterior must be given"):
        training_target(
            "posterior", torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1), alpha=torch.ones(1),
            sigma=torch.ones(1), kind="sample",
        )  # fmt: skip
