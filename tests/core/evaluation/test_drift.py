"""The paired probe: nothing where nothing drifts, and the computable amount where an error is planted."""

import math

import pytest
import torch
from analytic_flows import GaussianFlow, NoiseBlindOracle, Oracle, predict_from_clean
from diffusers import DDIMScheduler, EulerDiscreteScheduler, UniPCMultistepScheduler
from noise_schedules import SCHEDULES
from tiny_checkpoint import noise_schedulers

from core.evaluation.drift import TARGETS, paired_probe, rolled_drift
from core.noise.grid import inference_grid
from core.noise.prediction import KINDS
from core.runs import journal

GRID = torch.linspace(50, 950, 19)


def schedule_of(kind):
    return SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]


def pairs(count=8, size=8, clean_std=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(count, 4, size, size, generator=generator) for _ in range(2))
    return clean * clean_std, noise


def probe(denoiser, clean, noise, kind, **changes):
    values = {"schedule": schedule_of(kind), "kind": kind, "grid": GRID}
    return paired_probe(denoiser, clean, noise, **{**values, **changes})


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_knows_the_clean_latent_does_not_drift(kind):
    clean, noise = pairs()
    found = probe(NoiseBlindOracle(clean, schedule_of(kind), kind), clean, noise, kind)
    assert max(found.m1) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_denoiser_of_a_single_picture_does_not_drift(kind):
    """Data of one point: its score is known, and the model meets it from whatever noise."""
    one, noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3)), pairs()[1]
    clean = one.expand(8, -1, -1, -1)

    def denoiser(noisy, timestep, items):
        return predict_from_clean(one.expand_as(noisy), noisy, timestep, schedule_of(kind), kind)

    assert max(probe(denoiser, clean, noise, kind).m1) < 1e-5


def test_a_constant_error_of_the_velocity_drifts_by_its_length():
    """Flow matching, Euler: a velocity that is off by c carries each state off by c times the sigma it travels."""
    clean, noise = pairs()
    schedule, error = schedule_of("flow_matching"), 0.25
    oracle = Oracle(clean, noise, schedule, "flow_matching")
    found = probe(lambda x, t, items: oracle(x, t, items) + error, clean, noise, "flow_matching", reach=4)
    m2 = clean.square().mean().item()
    for t, m1 in zip(found.timesteps, found.m1, strict=True):
        sigma = t / 1000
        travelled = 4 * 0.05
        assert m1 == pytest.approx(error * travelled / math.sqrt((1 - sigma) ** 2 * m2 + sigma**2), rel=1e-3)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_constant_error_of_the_clean_estimate_is_found_in_closed_form(kind):
    """With x0 off by c throughout, DDIM lands off by c (a_t - a_u s_t / s_u): the sum over its steps telescopes."""
    clean, noise = pairs()
    schedule, error = schedule_of(kind), 0.3
    wrong = NoiseBlindOracle(clean + error, schedule, kind)
    found = probe(wrong, clean, noise, kind, reach=3)
    m2 = clean.square().mean().item()
    for t, m1 in zip(found.timesteps, found.m1, strict=True):
        here, there = torch.tensor([t]), torch.tensor([t + 150])
        a, s, b, r = (f(x).item() for x in (here, there) for f in (schedule.alpha, schedule.sigma))
        assert m1 == pytest.approx(error * abs(a - b * s / r) / math.sqrt(a * a * m2 + s * s), rel=1e-3)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.25])
def test_v_finds_a_planted_scale_of_the_states(scale):
    """A model that believes in the picture scaled by c, from its own noise scaled too, ends with c times the state."""
    clean, noise = pairs(count=16, size=16)
    schedule, kind = schedule_of("flow_matching"), "flow_matching"

    def denoiser(noisy, timestep, items):
        """Carries any state in one straight line to the scaled true state at sigma = 0.05 and below."""
        sigma = schedule.sigma(timestep).view(-1, 1, 1, 1)
        here = (1 - sigma) * clean[items] + sigma * noise[items]
        goal_sigma = torch.full_like(sigma, 0.05)
        goal = scale * ((1 - goal_sigma) * clean[items] + goal_sigma * noise[items])
        return torch.where(sigma > 0.051, (noisy - goal) / (sigma - goal_sigma), noisy - here)

    found = probe(denoiser, clean, noise, kind, targets=1)
    assert found.timesteps == (50.0,)
    assert found.v[0] == pytest.approx(2 * math.log(scale), abs=0.03)


def test_v_of_a_model_that_never_moves_is_the_ratio_of_the_variances():
    """A frozen clean estimate of zero shrinks the state with s_t / s_u (DDIM), which V must show."""
    clean, noise = pairs(count=16, size=16)
    schedule = schedule_of("epsilon")

    def denoiser(noisy, timestep, items):
        return torch.zeros_like(noisy)

    found = probe(denoiser, clean, noise, "sample", schedule=schedule, reach=4)
    for t, v in zip(found.timesteps, found.v, strict=True):
        s, r = (schedule.sigma(torch.tensor([x])).item() for x in (t, t + 200))
        assert v == pytest.approx(2 * math.log(s / r), abs=0.03)


def test_the_perfect_model_of_gaussian_data_shrinks_by_the_samplers_own_error_only():
    schedule = schedule_of("flow_matching")
    clean, noise = pairs(count=32, size=16)
    flow = GaussianFlow(schedule, "flow_matching", mean=0.0, spread=1.0)
    found = probe(flow, clean, noise, "flow_matching")
    assert all(-0.1 < v < 0.02 for v in found.v)
    assert min(found.m1) > 1e-3


def test_no_gradient_and_only_the_forwards_that_are_counted():
    clean, noise = pairs(count=3)
    oracle = Oracle(clean, noise, schedule_of("epsilon"), "epsilon")
    found = probe(oracle, clean, noise, "epsilon", reach=4)
    assert found.forwards == sum(len(items) for items in oracle.items) == 3 * 4 * TARGETS
    assert not any(state.requires_grad for state in oracle.states)


def test_targets_spread_over_the_grid_clean_end_first():
    clean, noise = pairs(count=2)
    found = probe(Oracle(clean, noise, schedule_of("epsilon"), "epsilon"), clean, noise, "epsilon", reach=4)
    assert found.timesteps[0] == 50
    assert found.timesteps[-1] == 750
    assert list(found.timesteps) == sorted(found.timesteps)
    assert len(found.timesteps) == TARGETS


def test_every_rollout_steps_on_the_grid():
    clean, noise = pairs(count=2)
    oracle = Oracle(clean, noise, schedule_of("epsilon"), "epsilon")
    probe(oracle, clean, noise, "epsilon")
    asked = {round(t, 3) for timesteps in oracle.timesteps for t in timesteps.tolist()}
    assert asked <= {round(t, 3) for t in GRID.tolist()}


@pytest.mark.parametrize("points", [1, 2, 3])
def test_a_short_grid_is_probed_as_far_as_it_goes(points):
    clean, noise = pairs(count=2)
    grid = torch.linspace(300, 900, points)
    found = probe(Oracle(clean, noise, schedule_of("epsilon"), "epsilon"), clean, noise, "epsilon", grid=grid)
    assert found.timesteps == (300.0,)
    assert found.forwards == 2 * (points - 1)


def test_rolled_drift_is_the_rms_over_items():
    noisy = torch.zeros(2, 1, 2, 2)
    rolled = torch.stack([torch.full((1, 2, 2), 3.0), torch.full((1, 2, 2), 4.0)])
    found = rolled_drift(rolled, noisy, torch.zeros(2), torch.ones(2), 1.0)
    assert found.item() == pytest.approx(math.sqrt((9 + 16) / 2))


def test_rolled_drift_is_measured_against_the_state_at_its_own_timestep():
    noisy = torch.zeros(1, 1, 2, 2)
    alpha, sigma = torch.tensor([0.6]), torch.tensor([0.8])
    found = rolled_drift(noisy + 0.5, noisy, alpha, sigma, 4.0)
    assert found.item() == pytest.approx(0.5 / math.sqrt(0.36 * 4 + 0.64))


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_the_grid_of_a_flow_sampler_has_its_noise_levels_not_its_whole_timesteps(shift):
    sampler = UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=shift)
    grid = inference_grid(sampler, 7)
    sampler.set_timesteps(7)
    torch.testing.assert_close(grid.flip(0) / 1000, sampler.sigmas[:-1])
    assert (grid != grid.round()).any()


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_the_grid_of_trailing_ddim_ends_at_the_last_timestep(steps):
    grid = inference_grid(noise_schedulers("v_prediction"), steps)
    assert len(grid) == steps
    assert grid[-1].item() == 999
    assert torch.equal(grid, grid.sort().values)


@pytest.mark.parametrize(
    "scheduler", [DDIMScheduler(steps_offset=1), EulerDiscreteScheduler(steps_offset=1), noise_schedulers("epsilon")]
)
def test_a_scheduler_that_is_in_use_is_left_alone(scheduler):
    scheduler.set_timesteps(7)
    before = scheduler.timesteps.clone()
    inference_grid(scheduler, 5)
    assert torch.equal(scheduler.timesteps, before)


def test_a_run_begins_with_the_base_models_own_record(trained):
    folder = trained(drift_pairs=3, drift_samples=2, validation_steps=2, scheduled_sampling_max_step_offset=1)
    records = journal.read_all(folder.drift_path)
    assert [(line["step"], line["base"]) for line in records] == [(0, False), (0, True), (2, False), (3, False)]
    own, base = ({**line, "base": None, "seconds": None} for line in records[:2])
    assert own == base
    assert all(line["pairs"] == 3 and line["m1_mean"] > 0 for line in records)
    assert all(line["chain"]["samples"] == 2 for line in records)
    assert records[0]["chain"]["v"] != records[-1]["chain"]["v"]
    assert records[-1]["m1"] != records[0]["m1"]


def test_two_arms_are_probed_with_the_same_pairs(trained):
    given = {"drift_pairs": 2, "max_train_steps": 1}
    off = trained("off", **given)
    on = trained("on", **given, seed=9, scheduled_sampling_max_step_offset=2, scheduled_sampling_probability=1.0)
    first, second = (journal.read_all(folder.drift_path)[0] for folder in (off, on))
    assert first["m1"] == second["m1"]
    assert first["grid"] == second["grid"]
