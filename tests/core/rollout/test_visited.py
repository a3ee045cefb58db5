"""Visited rollouts: blocks leave the trained timesteps' distribution alone, and states are those of a plain rollout."""

import numpy as np
import pytest
import torch
from analytic_flows import BentDenoiser, Oracle
from noise_schedules import SCHEDULES, options

from core.rollout.engine import roll
from core.rollout.offsets import block_and_source
from core.rollout.plan import RolloutPlan
from core.rollout.visited import draw_blocks, visit
from core.training.timesteps import TIMESTEPS

VP, FLOW = SCHEDULES["stable_diffusion"], SCHEDULES["flow"]
TRAILING = torch.arange(1, 21) * 50 - 1.0
SHIFTED = 1000 * 3 * torch.linspace(0.05, 1.0, 20) / (1 + 2 * torch.linspace(0.05, 1.0, 20))


def anchors(kind, count, last, seed=0):
    return TIMESTEPS[kind].draw(count, last, torch.Generator().manual_seed(seed))


def blocks(kind="v_prediction", count=4000, grid=None, seed=0, probability=0.8, **changes):
    last = 1000 if kind == "flow_matching" else 999
    timesteps = anchors(kind, count, last)
    given = {"max_step_offset": 3, "stride": 40, **changes}
    plan, share = draw_blocks(
        options(**given), timesteps, probability=probability, last=last,
        generator=torch.Generator().manual_seed(seed + 1), density=TIMESTEPS[kind].density(last), grid=grid,
    )  # fmt: skip
    return timesteps, plan, share


@pytest.mark.parametrize("stride", [1, 7, 40])
@pytest.mark.parametrize("longest", [0, 1, 2, 5])
def test_every_whole_timestep_is_trained_exactly_as_often_as_it_is_drawn(stride, longest):
    """Not by sampling: all anchors, all block offsets, for a k drawn independently of both; ends included."""
    last, total = 99, np.zeros(100)
    for anchor in range(last + 1):
        for offset in range(longest + 1):
            steps, target, source = block_and_source(
                np.array([longest]), np.array([offset]), np.array([anchor]), options(stride=stride), last
            )
            states = np.arange(target[0], source[0] + 1, stride)
            assert len(states) == steps[0] + 1
            assert anchor in states
            total[states.astype(int)] += 1 / len(states) / (longest + 1)
    np.testing.assert_allclose(total, 1.0, atol=1e-12)


def test_on_an_even_grid_every_whole_timestep_above_its_first_point_is_trained_as_often_as_it_is_drawn():
    grid, last, total = np.arange(9.0, 100.0, 10.0), 99, np.zeros(100)
    for anchor in range(last + 1):
        for offset in range(3):
            steps, target, source = block_and_source(
                np.array([2]), np.array([offset]), np.array([float(anchor)]), options(stride="inference"), last, grid
            )
            states = np.linspace(target[0], source[0], int(steps[0]) + 1)
            total[np.round(states).astype(int)] += 1 / len(states) / 3
            assert anchor >= 9 or steps[0] == 0
    np.testing.assert_allclose(total, 1.0, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "grid", "stride"),
    [
        ("v_prediction", None, 40), ("flow_matching", None, 40), ("flow_matching", None, 130),
        ("v_prediction", TRAILING, "inference"), ("flow_matching", SHIFTED, "inference"),
    ],
)  # fmt: skip
def test_trained_timesteps_are_distributed_as_without_rollout(kind, grid, stride):
    """Weighted by their shares, the states' distribution function is the anchors', within Monte-Carlo error."""
    count = 60_000
    _, plan, share = blocks(kind, count, grid, stride=stride, max_step_offset=4)
    assert plan.rolled.float().mean() > 0.5
    edges = torch.linspace(0, 1000, 41)[1:-1]
    path, weight = plan.itinerary(), share.double()
    for edge in edges:
        trained = (weight * (path <= edge)).sum() / count
        drawn = (anchors(kind, count, 1000 if kind == "flow_matching" else 999, seed=9) <= edge).double().mean()
        assert abs(trained - drawn) < 4 * (0.5 / count) ** 0.5, float(edge)


def test_shares_of_an_item_sum_to_one_and_end_with_its_block():
    _, plan, share = blocks("flow_matching", stride=40)
    torch.testing.assert_close(share.sum(0), torch.ones(4000, dtype=torch.float64))
    beyond = torch.arange(len(share))[:, None] > plan.steps
    assert (share[beyond] == 0).all()
    assert (share[~beyond] > 0).all()


def test_a_state_that_is_drawn_more_often_has_a_greater_share():
    """Logit-normal: the middle is drawn more often than the ends, so blocks lean towards it."""
    _, plan, share = blocks("flow_matching", stride=200, max_step_offset=2)
    path = plan.itinerary()
    for column in torch.nonzero(plan.steps == 2).flatten()[:200]:
        density = TIMESTEPS["flow_matching"].density(1000)(path[:, column].numpy())
        np.testing.assert_allclose(share[:3, column].numpy(), density / density.sum(), rtol=1e-9)


def test_lengths_are_those_of_a_fresh_plan_with_the_same_generator():
    """Away from the ends: k itself, so that both modes of one seed roll the same items equally far."""
    from core.rollout.plan import draw_plan

    timesteps = torch.full((500,), 500)
    given = {"max_step_offset": 4, "stride": 20}
    fresh = draw_plan(
        options(**given), timesteps, probability=0.7, last=999, generator=torch.Generator().manual_seed(3)
    )
    plan, _ = draw_blocks(
        options(**given), timesteps, probability=0.7, last=999, generator=torch.Generator().manual_seed(3),
        density=np.ones_like,
    )  # fmt: skip
    assert torch.equal(plan.steps, fresh.steps)


def test_probability_zero_leaves_every_anchor_alone():
    timesteps, plan, share = blocks(probability=0.0)
    assert plan.longest == 0
    assert torch.equal(plan.target, timesteps.double())
    assert torch.equal(share, torch.ones(1, 4000, dtype=torch.float64))


def test_anchors_below_the_grid_are_alone_and_counted():
    timesteps, plan, _ = blocks(grid=TRAILING, stride="inference", probability=1.0)
    below = timesteps < 49
    assert below.any()
    assert (plan.steps[below] == 0).all()
    assert plan.below_grid == int(below.sum())
    assert (plan.target[~below] >= 49).all()


class Recorder:
    """Trains nothing; answers with a denoiser's prediction and notes the visits."""

    def __init__(self, denoiser):
        self.denoiser, self.visits = denoiser, []

    def __call__(self, at):
        self.visits.append(at)
        return self.denoiser(at.noisy, at.place.timestep.float(), at.items)


def plan_of(steps, stride=40):
    steps = torch.tensor(steps)
    start = torch.arange(len(steps)) + 200
    return RolloutPlan(source=start + steps * stride, target=start, steps=steps)


@pytest.mark.parametrize("sampler", ["unipc", "dpm", "euler"])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample", "flow_matching"])
def test_the_last_state_of_each_item_is_where_a_fresh_rollout_lands(sampler, kind):
    schedule = FLOW if kind == "flow_matching" else VP
    plan = plan_of([3, 0, 1, 4, 2])
    clean, noise = torch.randn((2, 5, 4, 4, 4), generator=torch.Generator().manual_seed(1))
    arguments = {"schedule": schedule, "kind": kind, "sampler": sampler, "order": 3}
    landed = roll(BentDenoiser(schedule, kind), clean, noise, plan, **arguments)
    recorder = Recorder(BentDenoiser(schedule, kind))
    assert visit(recorder, clean, noise, plan, **arguments) == 15
    assert [len(at.items) for at in recorder.visits] == [5, 4, 3, 2, 1]
    assert [at.last for at in recorder.visits] == [False, False, False, False, True]
    for item, k in enumerate(plan.steps.tolist()):
        at = recorder.visits[k]
        row = at.items.tolist().index(item)
        torch.testing.assert_close(at.noisy[row], landed.rolled[item], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(at.teacher_forced[row], landed.noisy[item])
        assert at.place.timestep[row] == plan.target[item]


def test_depth_zero_is_the_teacher_forced_state_at_the_source():
    plan = plan_of([2, 1])
    clean, noise = torch.randn((2, 2, 4, 4, 4), generator=torch.Generator().manual_seed(1))
    recorder = Recorder(Oracle(clean, noise, VP, "v_prediction"))
    visit(recorder, clean, noise, plan, schedule=VP, kind="v_prediction")
    first = recorder.visits[0]
    assert first.place.timestep.tolist() == [280.0, 241.0]
    assert torch.equal(first.noisy, first.teacher_forced)
    for at in recorder.visits[1:]:  # an oracle never leaves the true path
        torch.testing.assert_close(at.noisy, at.teacher_forced, rtol=1e-5, atol=1e-5)


def test_a_sampler_that_asks_between_the_states_is_refused():
    clean, noise = torch.zeros((2, 1, 4, 4, 4))
    with pytest.raises(ValueError, match="sampler must call the model once a step"):
        visit(Recorder(None), clean, noise, plan_of([1]), schedule=VP, kind="epsilon", sampler="rk4")


def test_on_an_uneven_grid_a_states_share_is_its_density_times_the_width_of_its_step():
    """p in grid coordinates: without the width, timesteps where the grid is coarse would be trained too rarely."""
    _, plan, share = blocks("flow_matching", 2000, SHIFTED, stride="inference", max_step_offset=2, probability=1.0)
    nodes = np.concatenate([[0.0], SHIFTED.numpy()])
    path = plan.itinerary().numpy()
    columns = torch.nonzero(plan.steps == 2).flatten().tolist()
    assert len(columns) > 200
    for column in columns:
        states = path[:, column]
        width = np.diff(nodes)[np.searchsorted(nodes, states, side="right") - 1]
        mass = TIMESTEPS["flow_matching"].density(1000)(states) * width
        np.testing.assert_allclose(share[:3, column].numpy(), mass / mass.sum(), rtol=1e-6)
