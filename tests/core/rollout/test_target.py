"""Training targets: what a perfect answer to them says about the clean latent."""

import pytest
import torch
from noise_schedules import SCHEDULES

from core.noise.prediction import KINDS, add_noise, pair_target, to_clean
from core.rollout.target import RULES, training_target

T = torch.tensor([20, 500, 998])


def drifted(name, seed=4):
    generator = torch.Generator().manual_seed(seed)
    clean, noise, drift = torch.randn((3, 3, 4, 3, 3), dtype=torch.float64, generator=generator)
    weights = {"alpha": SCHEDULES[name].alpha(T.double()), "sigma": SCHEDULES[name].sigma(T.double())}
    noisy = add_noise(clean, noise, **weights)
    return clean, noise, noisy, noisy + 0.1 * drift, weights


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_anchored_target_leads_back_to_the_clean_latent(name, kind):
    clean, noise, _, rolled, weights = drifted(name)
    target = training_target("anchored", rolled, clean, noise, **weights, kind=kind)
    torch.testing.assert_close(to_clean(target, rolled, **weights, kind=kind), clean)


def test_the_anchored_target_is_the_published_formula():
    clean, noise, _, x, weights = drifted("stable_diffusion")
    a, s = (weights[key][:, None, None, None] for key in ("alpha", "sigma"))
    expected = {"epsilon": (x - a * clean) / s, "v_prediction": (a * x - clean) / s, "sample": clean}
    for kind, value in expected.items():
        torch.testing.assert_close(training_target("anchored", x, clean, noise, **weights, kind=kind), value)
    clean, noise, _, x, weights = drifted("flow")
    sigma = weights["sigma"][:, None, None, None]
    value = training_target("anchored", x, clean, noise, **weights, kind="flow_matching")
    torch.testing.assert_close(value, (x - clean) / sigma)


@pytest.mark.parametrize(
    ("kind", "carried"),
    [
        ("epsilon", lambda a, s: 1 / a),
        ("v_prediction", lambda a, s: a),
        ("sample", lambda a, s: 0 * a),
        ("flow_matching", lambda a, s: 1 + 0 * a),
    ],
)
def test_the_original_target_carries_the_drift_on(kind, carried):
    name = "flow" if kind == "flow_matching" else "stable_diffusion"
    clean, noise, noisy, rolled, weights = drifted(name)
    target = training_target("original", rolled, clean, noise, **weights, kind=kind)
    error = to_clean(target, rolled, **weights, kind=kind) - clean
    factor = carried(weights["alpha"], weights["sigma"])[:, None, None, None]
    torch.testing.assert_close(error, factor * (rolled - noisy))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_teacher_forced_items_get_the_pairs_target_bit_for_bit(rule, kind):
    clean, noise, noisy, rolled, weights = drifted("zero_terminal")
    clean, noise, noisy, rolled = (x.float() for x in (clean, noise, noisy, rolled))
    weights = {key: value.float() for key, value in weights.items()}
    steps = torch.tensor([0, 3, 0])
    state = torch.where((steps > 0)[:, None, None, None], rolled, noisy)
    own = pair_target(clean, noise, **weights, kind=kind)
    mean = clean + 0.5  # where the posterior lies does not matter here
    for given in (steps, steps > 0):
        target = training_target(rule, state, clean, noise, **weights, kind=kind, steps=given, posterior=mean)
        assert torch.equal(target[[0, 2]], own[[0, 2]])
        assert target.dtype == torch.float32
    assert torch.equal(target[1], own[1]) == (rule == "original" or (kind == "sample" and rule == "anchored"))


def test_rules_differ_once_there_is_drift():
    clean, noise, _, rolled, weights = drifted("stable_diffusion")
    anchored, posterior, original = (
        training_target(rule, rolled, clean, noise, **weights, kind="epsilon", posterior=0.5 * clean) for rule in RULES
    )
    assert (anchored - original).abs().max() > 0.05
    assert (anchored - posterior).abs().max() > 0.05
    assert (original - posterior).abs().max() > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_the_clean_end_is_finite(kind):
    clean = torch.ones(1, 2)
    weights = {"alpha": torch.ones(1), "sigma": torch.zeros(1)}
    target = training_target("anchored", 1.1 * clean, clean, 3 * clean, **weights, kind=kind)
    assert torch.equal(target, pair_target(clean, 3 * clean, **weights, kind=kind))


def test_the_target_trains_the_model_not_the_rollout():
    clean, noise, _, rolled, weights = drifted("stable_diffusion")
    assert not training_target("anchored", rolled, clean, noise, **weights, kind="epsilon").requires_grad


def test_an_unknown_rule_is_told_what_there_is():
    clean, noise, _, rolled, weights = drifted("flow")
    with pytest.raises(ValueError, match="target must be one of anchored, posterior, original, got 'achored'"):
        training_target("achored", rolled, clean, noise, **weights, kind="flow_matching")
