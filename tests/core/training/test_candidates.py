"""Which pictures the posterior chooses from, and how often each counts."""

import pytest
import torch

from core.data.latents import LatentSet
from core.training.candidates import EMPTY_GROUP, group_prompts, latent_groups, posterior_over

CPU = torch.device("cpu")


def pictures(values, prompts, prompt_of, variants=None, repeats=None):
    """One latent of that value a variant."""
    variants = [1] * len(prompt_of) if variants is None else variants
    counts = torch.tensor(variants)
    return LatentSet(
        latents=torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1),
        first=counts.cumsum(0) - counts, variants=counts, framing=torch.zeros(len(values), 6, dtype=torch.long),
        prompt=torch.tensor(prompt_of), conditions=torch.zeros(len(prompts), 1, 1), empty=torch.zeros(1, 1),
        prompts=tuple(prompts), repeats=torch.tensor([1] * len(prompt_of) if repeats is None else repeats),
    )  # fmt: skip


def mean_of(posterior, group):
    """At pure noise a state tells nothing: what is left is the mean by frequency."""
    pure = {"alpha": torch.zeros(1), "sigma": torch.ones(1), "group": torch.tensor([group])}
    return posterior(torch.zeros(1, 1, 1, 1), **pure).clean.item()


def test_equal_prompts_share_a_group_over_all_sets():
    instance = pictures([1, 2, 3], ["a cat", "a dog"], [0, 1, 0])
    classes = pictures([4, 5], ["a dog", "a bird"], [0, 1])
    groups = group_prompts([instance, classes])
    assert [group.tolist() for group in groups] == [[1, 2], [2, 3]]
    assert latent_groups(instance, groups[0]).tolist() == [1, 2, 1]


def test_an_empty_prompt_of_ones_own_is_the_empty_group():
    (groups,) = group_prompts([pictures([1, 2], ["", "a cat"], [0, 1])])
    assert groups.tolist() == [EMPTY_GROUP, 1]


def test_every_variant_of_a_picture_has_its_pictures_group():
    instance = pictures([1, 2, 3, 4], ["a cat", "a dog"], [0, 1], variants=[3, 1])
    assert latent_groups(instance, group_prompts([instance])[0]).tolist() == [1, 1, 1, 2]


def test_a_picture_counts_once_however_many_variants_it_has():
    instance = pictures([0, 0, 0, 8], ["a cat"], [0, 0], variants=[3, 1])
    assert mean_of(posterior_over([instance], [1.0], 0.0, CPU), 1) == pytest.approx(4.0)


def test_a_set_counts_with_its_weight_in_the_loss():
    instance = pictures([0, 0], ["a cat"], [0, 0])
    classes = pictures([9], ["a cat"], [0])
    assert mean_of(posterior_over([instance, classes], [1.0, 0.5], 0.0, CPU), 1) == pytest.approx(3.0)


@pytest.mark.parametrize("weight", [0.0, 1e-320])
def test_a_set_without_weight_in_the_loss_has_candidates_and_takes_part_in_no_others(weight):
    """Found by fuzzing: prior_loss_weight = 0 with the posterior target ended a run at its first class picture."""
    instance = pictures([1, 5], ["a cat", "a dog"], [0, 1])
    classes = pictures([9, 7, 100], ["a bird", "a cat"], [0, 0, 1])
    posterior = posterior_over([instance, classes], [1.0, weight], 0.25, CPU)
    assert mean_of(posterior, 3) == pytest.approx(8.0)
    assert (mean_of(posterior, 1), mean_of(posterior, EMPTY_GROUP)) == pytest.approx((1.0, 3.0))


def test_only_pictures_with_the_prompt_are_candidates():
    posterior = posterior_over([pictures([1, 5], ["a cat", "a dog"], [0, 1])], [1.0], 0.25, CPU)
    assert (mean_of(posterior, 1), mean_of(posterior, 2)) == (1.0, 5.0)


def test_behind_a_dropped_caption_may_be_any_picture():
    posterior = posterior_over([pictures([1, 5], ["a cat", "a dog"], [0, 1])], [1.0], 0.25, CPU)
    assert mean_of(posterior, EMPTY_GROUP) == pytest.approx(3.0)


def test_an_empty_prompt_is_met_more_often_than_a_dropped_one():
    posterior = posterior_over([pictures([0, 5], ["", "a cat"], [0, 1])], [1.0], 0.25, CPU)
    assert mean_of(posterior, EMPTY_GROUP) == pytest.approx(5 * 0.25 / 1.25)


def test_a_picture_counts_as_often_as_it_is_repeated():
    posterior = posterior_over([pictures([0, 4], ["a"], [0, 0], repeats=[1, 3])], [1.0], 0.0, CPU)
    assert mean_of(posterior, 1) == pytest.approx(3.0)
