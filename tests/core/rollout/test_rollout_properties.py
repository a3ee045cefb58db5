"""What holds for every rollout that the options allow: it lands, it counts, its target leads back to the picture."""

import math
from dataclasses import dataclass

import pytest
import torch
from analytic_flows import BentDenoiser, Oracle
from hypothesis import assume, given
from hypothesis import strategies as st
from noise_schedules import SCHEDULES
from strategies import SEEDS, cases, repeatable, timesteps

from core.noise.prediction import KINDS, add_noise, expand, pair_target, to_clean
from core.rollout.engine import roll
from core.rollout.posterior import Posterior, PosteriorMean
from core.rollout.samplers import SAMPLERS
from core.rollout.target import RULES, training_target
from core.rollout.visited import visit

SHAPE = (2, 2, 2)
REFUSAL = r"source must lie below timestep \d+ for an epsilon prediction, got pure noise [^\n]*$"


def starts_in_pure_noise(case, plan):
    """The one thing that is refused."""
    return case.kind == "epsilon" and bool((case.schedule.alpha(plan.source[plan.rolled]) == 0).any())


def lies_within(case, plan):
    """The schedule, and source, target and steps agree."""
    path, done = plan.itinerary(), torch.arange(plan.longest + 1)[:, None]
    assert ((path >= 0) & (path <= case.schedule.last)).all()
    assert (path.diff(dim=0)[done[1:] <= plan.steps] < 0).all()
    assert ((plan.steps >= 0) & (plan.steps <= case.options.max_step_offset)).all()
    assert torch.equal(path[-1], plan.target.double())
    assert torch.equal(path[0, plan.rolled], plan.source[plan.rolled].double())


@repeatable(250)
@given(cases())
def test_a_fresh_plan_lands_on_the_timesteps_that_were_asked_for(case):
    plan = case.plan()
    assert torch.equal(plan.target, case.timesteps)
    assert plan.target.dtype == case.timesteps.dtype
    lies_within(case, plan)
    if case.probability == 0:
        assert plan.longest == 0


@repeatable(250)
@given(cases())
def test_a_block_holds_its_anchor_and_shares_out_one_loss(case):
    plan, share = case.blocks()
    lies_within(case, plan)
    path, done = plan.itinerary(), torch.arange(plan.longest + 1)[:, None]
    nearest = torch.where(done <= plan.steps, (path - case.timesteps).abs(), torch.inf).amin(0)
    assert (nearest <= 1e-9 * case.schedule.last).all()
    assert share.shape == path.shape
    assert share.isfinite().all()
    assert (share[done > plan.steps] == 0).all()
    assert (share >= 0).all()
    torch.testing.assert_close(share.sum(0), torch.ones(len(plan.steps), dtype=torch.float64))
    alone = plan.steps == 0
    assert torch.equal(plan.target[alone], case.timesteps[alone].double())


@repeatable(500)
@given(cases(longest=12), st.sampled_from([torch.float32, torch.float64]))
def test_a_fresh_rollout_lands_and_counts(case, dtype):
    plan, (clean, noise) = case.plan(), case.latents(*SHAPE, dtype=dtype)
    assume(not starts_in_pure_noise(case, plan))
    result = roll(Oracle(clean, noise, case.schedule, case.kind), clean, noise, plan, **case.solver)
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-4)
    assert torch.equal(result.rolled[~plan.rolled], result.noisy[~plan.rolled])
    calls = SAMPLERS[case.options.sampler].calls_per_step
    assert (result.calls, result.sample_forwards) == (calls * plan.longest, calls * int(plan.steps.sum()))
    assert torch.equal(result.was_rolled, plan.rolled)
    assert sorted(result.own.tolist()) == torch.nonzero(plan.rolled).flatten().tolist()


@repeatable(120)
@given(cases(longest=12))
def test_a_network_that_knows_nothing_is_carried_to_finite_states_all_the_same(case):
    plan, (clean, noise) = case.plan(), case.latents(*SHAPE)
    assume(not starts_in_pure_noise(case, plan))
    network = BentDenoiser(case.schedule, case.kind)
    result = roll(network, clean, noise, plan, **case.solver)
    assert all(state.isfinite().all() for state in (result.rolled, result.noisy, *network.states))


@repeatable(200)
@given(cases(longest=12, modes=("visited",)))
def test_a_visited_rollout_trains_every_state_where_it_belongs(case):
    (plan, _), (clean, noise), visits = case.blocks(), case.latents(*SHAPE), []
    assume(not starts_in_pure_noise(case, plan))
    oracle = Oracle(clean, noise, case.schedule, case.kind)

    def train(at):
        visits.append(at)
        return oracle(at.noisy, at.place.timestep.float(), at.items)

    trained = visit(train, clean, noise, plan, **case.solver)
    assert trained == int((plan.steps + 1).sum()) == sum(len(at.items) for at in visits)
    assert [len(at.items) for at in visits] == [int((plan.steps >= depth).sum()) for depth in range(plan.longest + 1)]
    assert torch.equal(visits[0].noisy, visits[0].teacher_forced)
    path = plan.itinerary()
    for at in visits:
        torch.testing.assert_close(at.noisy, at.teacher_forced, rtol=0, atol=1e-4)
        assert torch.equal(at.place.timestep, path[at.depth, at.items])
        assert at.last == (at.depth == plan.longest)


@repeatable(150)
@given(cases(longest=4, names=("zero_terminal", "flow", "ddpm"), near=8))
def test_only_epsilon_from_pure_noise_is_refused(case):
    plan = case.plan() if case.options.mode == "fresh" else case.blocks()[0]
    clean, noise = case.latents(*SHAPE)
    network = BentDenoiser(case.schedule, case.kind)

    def start():
        if case.options.mode == "fresh":
            roll(network, clean, noise, plan, **case.solver)
        else:
            visit(lambda at: network(at.noisy, at.place.timestep, at.items), clean, noise, plan, **case.solver)

    if starts_in_pure_noise(case, plan):
        with pytest.raises(ValueError, match=REFUSAL):
            start()
    else:
        start()


@dataclass(frozen=True)
class Taught:
    """States that a network left the path for, and what they are made of."""

    kind: str
    place: dict
    clean: torch.Tensor
    noise: torch.Tensor
    rolled: torch.Tensor
    steps: torch.Tensor
    pictures: torch.Tensor
    group: torch.Tensor
    found: Posterior

    def target(self, rule, **changes):
        given = {"steps": self.steps, "posterior": self.found.clean} | changes
        return training_target(rule, self.rolled, self.clean, self.noise, **self.place, kind=self.kind, **given)


ONLY = 3
"""The one picture of the second group of conditions."""


@st.composite
def taught(draw):
    schedule, kind = SCHEDULES[draw(st.sampled_from(sorted(SCHEDULES)))], draw(st.sampled_from(KINDS))
    t = draw(timesteps(0, schedule.last, 6))
    steps = torch.tensor(draw(st.lists(st.integers(0, 2), min_size=len(t), max_size=len(t))))
    generator = torch.Generator().manual_seed(draw(SEEDS))
    pictures = torch.randn(5, *SHAPE, generator=generator)
    clean = pictures[torch.randint(0, 5, (len(t),), generator=generator)]
    noise, drift = torch.randn((2, *clean.shape), generator=generator)
    place = {"alpha": schedule.alpha(t).float(), "sigma": schedule.sigma(t).float()}
    drift = drift * draw(st.sampled_from([0.0, 1e-3, 1.0, 30.0])) * expand(steps > 0, drift)
    rolled = add_noise(clean, noise, **place) + drift
    share = torch.rand(5, generator=generator) + 0.01
    mean = PosteriorMean(pictures, [(torch.arange(5), share), (torch.tensor([ONLY]), torch.ones(1))], rolled.device)
    group = torch.randint(0, 2, (len(t),), generator=generator)
    return Taught(
        kind, place, clean, noise, rolled, steps, pictures, group, mean(rolled, **place, group=group)
    )  # fmt: skip


@repeatable(300)
@given(taught())
def test_a_posterior_is_a_mean_of_its_candidates(taught):
    found, pictures = taught.found, taught.pictures
    low, high = pictures.amin(0) - 1e-5, pictures.amax(0) + 1e-5
    assert ((found.clean >= low) & (found.clean <= high)).all()
    assert ((found.entropy >= 0) & (found.entropy <= math.log(5) + 1e-5)).all()
    assert ((found.nearest > 0) & (found.nearest <= 1 + 1e-5)).all()
    alone = taught.group == 1
    torch.testing.assert_close(found.clean[alone], pictures[ONLY].expand_as(found.clean[alone]))


@repeatable(300)
@given(taught(), st.sampled_from(RULES))
def test_a_target_leads_from_where_the_rollout_arrived_to_what_it_aims_at(taught, rule):
    target, place = taught.target(rule), taught.place
    own = pair_target(taught.clean, taught.noise, **place, kind=taught.kind)
    assert target.isfinite().all()
    assert torch.equal(target[taught.steps == 0], own[taught.steps == 0])
    assert torch.equal(target, taught.target(rule, steps=taught.steps > 0))
    if rule == "original":
        assert torch.equal(target, own)
        return
    # an epsilon prediction divides the rounding of float32 by alpha
    told = (taught.steps > 0) & (place["sigma"] > 0) & (place["alpha"] > (0.1 if taught.kind == "epsilon" else -1))
    reached = to_clean(target, taught.rolled, **place, kind=taught.kind)[told]
    aim = (taught.clean if rule == "anchored" else taught.found.clean)[told]
    scale = 1 + taught.rolled[told].abs().amax() if told.any() else 1.0
    torch.testing.assert_close(reached / scale, aim / scale, rtol=0, atol=1e-4)
