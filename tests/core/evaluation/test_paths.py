"""Whole paths: the true one is the noise schedule's, the free-running one what diffusers draws."""

import pytest
import torch
from analytic_flows import BentDenoiser, NoiseBlindOracle, Oracle, state_at
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from noise_schedules import SCHEDULES

from core.evaluation.paths import free_running_path, teacher_forced_path
from core.noise.grid import inference_grid
from core.noise.prediction import KINDS
from core.noise.schedule import NoiseSchedule
from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS

GRID = torch.linspace(50, 950, 10)


def latents(seed, count=3):
    return torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def schedule_of(kind):
    return SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_path_is_the_noise_schedules_and_costs_a_forward_a_point(kind):
    clean, noise, schedule = latents(0), latents(1), schedule_of(kind)
    oracle = Oracle(clean, noise, schedule, kind)
    path = teacher_forced_path(oracle, clean, noise, schedule=schedule, kind=kind, grid=GRID)
    assert path.timesteps == tuple(GRID.tolist())
    assert path.states.shape == path.estimates.shape == (10, 3, 4, 8, 8)
    assert path.states.dtype == path.estimates.dtype == torch.float32
    for t, state, estimate in zip(GRID, path.states, path.estimates, strict=True):
        torch.testing.assert_close(state, state_at(clean, noise, t.expand(3), schedule))
        torch.testing.assert_close(estimate, clean, atol=2e-4, rtol=2e-4)
    assert len(oracle.items) == len(GRID)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_knows_the_clean_latent_draws_it(kind, sampler):
    clean, schedule = latents(0), schedule_of(kind)
    oracle = NoiseBlindOracle(clean, schedule, kind)
    path = free_running_path(oracle, latents(1), schedule=schedule, kind=kind, grid=GRID, sampler=sampler)
    assert path.timesteps == tuple(GRID.tolist())
    assert torch.equal(path.states[-1], latents(1))
    torch.testing.assert_close(path.estimates, clean.expand(10, -1, -1, -1, -1), atol=2e-4, rtol=2e-4)
    assert not torch.equal(path.states[0], clean)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_estimate_is_the_models_answer_to_the_state_beside_it(sampler):
    schedule, kind = SCHEDULES["zero_terminal"], "v_prediction"
    model = BentDenoiser(schedule, kind)
    grid = torch.cat([GRID, torch.tensor([999.0])])
    path = free_running_path(model, latents(2), schedule=schedule, kind=kind, grid=grid, sampler=sampler)
    calls = SAMPLERS[sampler].calls_per_step * (len(grid) - 1) + 1
    assert len(model.states) == calls
    asked = model.states[:: SAMPLERS[sampler].calls_per_step]
    for state, seen in zip(path.states.flip(0), asked, strict=True):
        assert torch.equal(state, seen)
    for t, state, estimate in zip(grid, path.states, path.estimates, strict=True):
        place = schedule.place(t.expand(3).double())
        a, s = (w.float().view(-1, 1, 1, 1) for w in (place.alpha, place.sigma))
        answer = a * state - s * BentDenoiser(schedule, kind)(state, t.expand(3), None)
        torch.testing.assert_close(estimate, answer, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("sampler", "order"), [("euler", 2), ("unipc", 1), ("unipc", 3), ("dpm", 2), ("rk4", 2)])
def test_the_states_are_those_of_a_rollout_from_pure_noise(sampler, order):
    """Down to each grid point: a rollout of so many steps, which starts from the noise itself at sigma = 1."""
    schedule, kind, noise = SCHEDULES["flow"], "flow_matching", latents(5)
    model, grid = BentDenoiser(schedule, kind), torch.tensor([100.0, 250.0, 600.0, 800.0, 1000.0])
    how = {"schedule": schedule, "kind": kind, "sampler": sampler, "order": order}
    path = free_running_path(model, noise, grid=grid, **how)
    for index, state in enumerate(path.states[:-1]):
        source, target = grid[-1].expand(3), grid[index].expand(3)
        plan = RolloutPlan(source, target, torch.full((3,), len(grid) - 1 - index), grid)
        rolled = roll(model, torch.zeros_like(noise), noise, plan, **how).rolled
        torch.testing.assert_close(state, rolled, atol=1e-6, rtol=1e-6)


def drawn_by_diffusers(scheduler, model, noise, steps):
    scheduler.set_timesteps(steps)
    state = noise
    for t in scheduler.timesteps:
        state = scheduler.step(model(state, t.float().expand(len(noise)), None), t, state).prev_sample
    return state


def test_the_last_estimate_is_what_diffusers_draws_with_ddim():
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type="v_prediction",
        rescale_betas_zero_snr=True, timestep_spacing="trailing", clip_sample=False,
    )  # fmt: skip
    schedule = NoiseSchedule.from_diffusers(scheduler)
    model, noise = BentDenoiser(schedule, "v_prediction"), latents(3)
    grid = inference_grid(scheduler, 10)  # a divisor of 1000: else that sampler steps to points beside its own grid
    path = free_running_path(model, noise, schedule=schedule, kind="v_prediction", grid=grid)
    expected = drawn_by_diffusers(scheduler, model, noise, 10)
    torch.testing.assert_close(path.estimates[0], expected, atol=1e-3, rtol=1e-3)


def test_the_last_estimate_is_what_diffusers_draws_along_the_straight_path():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    schedule = NoiseSchedule.from_diffusers(scheduler)
    model, noise = BentDenoiser(schedule, "flow_matching"), latents(4)
    grid = inference_grid(scheduler, 12)
    path = free_running_path(model, noise, schedule=schedule, kind="flow_matching", grid=grid)
    expected = drawn_by_diffusers(scheduler, model, noise, 12)
    torch.testing.assert_close(path.estimates[0], expected, atol=1e-3, rtol=1e-3)


def test_a_grid_of_one_point_is_one_look():
    clean, schedule = latents(0), schedule_of("sample")
    oracle = NoiseBlindOracle(clean, schedule, "sample")
    path = free_running_path(oracle, latents(1), schedule=schedule, kind="sample", grid=torch.tensor([900.0]))
    assert path.timesteps == (900.0,)
    assert torch.equal(path.estimates[0], clean)


def test_grids_that_no_path_can_begin_on_are_refused():
    schedule = SCHEDULES["zero_terminal"]
    given = {"schedule": schedule, "kind": "epsilon"}
    model = BentDenoiser(schedule, "epsilon")
    with pytest.raises(ValueError, match="grid must end below pure noise"):
        free_running_path(model, latents(0), **given, grid=torch.tensor([500.0, 999.0]))
    with pytest.raises(ValueError, match="grid must have a point"):
        teacher_forced_path(model, latents(0), latents(1), **given, grid=torch.tensor([]))
    with pytest.raises(ValueError, match="sampler must be one of"):
        free_running_path(model, latents(0), **given, grid=torch.tensor([500.0]), sampler="none")
