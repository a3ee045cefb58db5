"""Plans: the right items, the right sources, and the same random numbers whatever the options."""

import pytest
import torch
from noise_schedules import options

from core.rollout.engine import roll
from core.rollout.offsets import offset_distribution
from core.rollout.plan import RolloutPlan, draw_plan


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def test_the_source_is_the_target_plus_k_strides():
    t = torch.randint(0, 1000, (4000,), generator=seeded(1))
    plan = draw_plan(options(max_step_offset=7, stride=13), t, probability=0.8, last=999, generator=seeded())
    assert torch.equal(plan.target, t)
    assert torch.equal(plan.source, t + plan.steps * 13)
    assert plan.source.dtype == t.dtype
    assert int(plan.source.max()) <= 999
    assert int(plan.steps.max()) == 7


def test_offsets_follow_strategy_and_probability():
    chosen = options(max_step_offset=4, strategy="biased_early")
    t = torch.zeros(100_000)
    plan = draw_plan(chosen, t, probability=0.6, last=1000, generator=seeded())
    share = torch.bincount(plan.steps, minlength=5) / len(t)
    expected = 0.6 * torch.from_numpy(offset_distribution(chosen)).float()
    expected[0] += 0.4
    torch.testing.assert_close(share, expected, rtol=0, atol=0.006)


def test_probability_zero_rolls_nothing_and_one_picks_all():
    t = torch.arange(900)
    assert not draw_plan(options(max_step_offset=9), t, probability=0.0, last=999, generator=seeded()).rolled.any()
    plan = draw_plan(options(max_step_offset=9), t, probability=1.0, last=999, generator=seeded())
    assert plan.rolled.float().mean() == pytest.approx(0.9, abs=0.03)
    assert not draw_plan(options(max_step_offset=0), t, probability=1.0, last=999, generator=seeded()).rolled.any()


@pytest.mark.parametrize("changes", [{}, {"max_step_offset": 0}, {"strategy": "biased_late"}, {"stride": 40}])
@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_options_do_not_change_what_is_drawn_next(changes, probability):
    chosen = options(**({"max_step_offset": 5} | changes))
    generator, other = seeded(), seeded()
    draw_plan(chosen, torch.arange(6), probability=probability, last=999, generator=generator)
    draw_plan(options(max_step_offset=10), torch.arange(6), probability=1.0, last=999, generator=other)
    assert torch.equal(generator.get_state(), other.get_state())


def test_an_item_picked_at_a_low_probability_has_the_same_rollout_at_a_high_one():
    t = torch.full((500,), 100)
    low, high = (
        draw_plan(options(max_step_offset=5), t, probability=p, last=999, generator=seeded()).steps for p in (0.3, 0.9)
    )
    assert torch.equal(low[low > 0], high[low > 0])
    assert (high > 0).sum() > (low > 0).sum()


def test_the_first_items_of_a_larger_batch_are_the_same():
    small, large = (
        draw_plan(options(max_step_offset=5), torch.arange(n), probability=0.5, last=999, generator=seeded()).steps
        for n in (4, 9)
    )
    assert torch.equal(large[:4], small)


def test_fractional_timesteps_keep_their_fraction():
    t = torch.tensor([10.25, 700.5])
    plan = draw_plan(options(max_step_offset=5, stride=3), t, probability=1.0, last=1000, generator=seeded(2))
    torch.testing.assert_close(plan.source, t.double() + plan.steps * 3)


def test_mean_calls_for_a_batch_of_eight_stay_below_nine_and_a_half(generator):
    chosen = options(max_step_offset=10)
    longest = [
        draw_plan(
            chosen, torch.randint(0, 1000, (8,), generator=generator), probability=1.0, last=999, generator=generator
        ).longest
        for _ in range(500)
    ]
    assert 8.8 < sum(longest) / 500 <= 9.5


def test_without_a_grid_states_are_equally_spaced():
    plan = RolloutPlan(
        source=torch.tensor([100, 50, 7]), target=torch.tensor([40, 43, 7]), steps=torch.tensor([3, 1, 0])
    )
    assert plan.itinerary().T.tolist() == [[100, 80, 60, 40], [50, 43, 43, 43], [7, 7, 7, 7]]


def test_on_a_grid_states_keep_the_targets_place_between_grid_points():
    grid = torch.tensor([100.0, 200.0, 400.0, 1000.0])
    t = torch.tensor([150.0, 99.0, 400.0, 1000.0])
    plan = draw_plan(
        options(max_step_offset=1000, stride="inference", strategy="biased_late"),
        t, probability=1.0, last=1000, generator=seeded(), grid=grid,
    )  # fmt: skip
    assert plan.steps.tolist() == [2, 0, 1, 0]
    assert plan.itinerary().T.tolist() == [[700, 300, 150], [99, 99, 99], [1000, 400, 400], [1000, 1000, 1000]]
    assert plan.below_grid == 1


def test_a_grid_may_come_with_its_clean_end():
    plans = [
        RolloutPlan(source=torch.tensor([300.0]), target=torch.tensor([50.0]), steps=torch.tensor([2]), grid=grid)
        for grid in (torch.tensor([100.0, 500.0]), torch.tensor([0.0, 100.0, 500.0]))
    ]
    assert plans[0].itinerary().tolist() == plans[1].itinerary().tolist() == [[300.0], [300.0], [50.0]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": torch.tensor([1, -1])}, "steps must be 0 or more"),
        ({"source": torch.tensor([5, 9])}, "source must be noisier"),
        ({"grid": torch.tensor([300, 100])}, "grid must hold ascending"),
        ({"grid": torch.tensor([100, 150])}, "grid must reach"),
    ],
)
def test_a_plan_that_is_none_is_refused(changes, message):
    values = {"source": torch.tensor([200, 9]), "target": torch.tensor([100, 9]), "steps": torch.tensor([2, 1])}
    with pytest.raises(ValueError, match=message):
        RolloutPlan(**(values | {"steps": torch.tensor([2, 0])} | changes))


def test_a_plan_whose_parts_differ_in_length_is_refused():
    # the shape check of the tests' type checker comes first where it is on, and raises a TypeError
    with pytest.raises((ValueError, TypeError)):
        RolloutPlan(source=torch.tensor([200, 9]), target=torch.tensor([100, 9]), steps=torch.tensor([2]))


def test_draws_that_cannot_be_honoured_raise():
    t = torch.tensor([5])
    with pytest.raises(ValueError, match=r"probability must lie in 0\.\.1, got 1\.5"):
        draw_plan(options(), t, probability=1.5, last=999, generator=seeded())
    with pytest.raises(ValueError, match="needs the timesteps of the inference grid"):
        draw_plan(options(stride="inference"), t, probability=1.0, last=999, generator=seeded())
    with pytest.raises(ValueError, match='only be given with stride "inference"'):
        draw_plan(options(), t, probability=1.0, last=999, generator=seeded(), grid=torch.tensor([9.0]))


def test_a_drawn_plan_can_be_rolled(generator):
    from analytic_flows import Oracle
    from noise_schedules import SCHEDULES

    schedule = SCHEDULES["flow"]
    t = torch.randint(1, 1001, (16,), generator=generator)
    plan = draw_plan(options(max_step_offset=5, stride=60), t, probability=0.7, last=schedule.last, generator=generator)
    clean, noise = torch.randn((2, 16, 4, 2, 2), generator=generator)
    oracle = Oracle(clean, noise, schedule, "flow_matching")
    result = roll(oracle, clean, noise, plan, schedule=schedule, kind="flow_matching")
    torch.testing.assert_close(result.rolled, result.noisy, rtol=0, atol=1e-5)
    assert result.calls == plan.longest
