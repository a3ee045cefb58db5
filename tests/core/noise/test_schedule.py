"""Noise schedules: exact at the ends, smooth between the timesteps, and read rightly from diffusers."""

import math

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from noise_schedules import SCHEDULES, scaled_linear_table, zero_terminal_table

from core.errors import ConfigError
from core.noise.schedule import NoiseSchedule

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def test_whole_timesteps_are_those_of_the_table():
    table = scaled_linear_table()
    schedule = NoiseSchedule.variance_preserving(table)
    t = torch.arange(1000)
    torch.testing.assert_close(schedule.alpha(t), table.sqrt().float(), rtol=1e-6, atol=0)
    torch.testing.assert_close(schedule.sigma(t), (1 - table).sqrt().float(), rtol=1e-6, atol=0)


def test_flow_matching_is_the_straight_line():
    schedule = NoiseSchedule.flow_matching(200)
    t = torch.tensor([0.0, 12.5, 200.0])
    assert schedule.sigma(t).tolist() == [0.0, 0.0625, 1.0]
    assert schedule.alpha(t).tolist() == [1.0, 0.9375, 0.0]
    assert schedule.last == 200


def test_zero_terminal_snr_is_exact_and_finite_before_it():
    schedule = NoiseSchedule.variance_preserving(zero_terminal_table())
    t = torch.tensor([998, 999])
    assert schedule.alpha(t)[1] == 0.0
    assert schedule.sigma(t)[1] == 1.0
    halfway = torch.tensor([998.5])
    assert schedule.alpha(halfway) == pytest.approx(float(schedule.alpha(t)[0]) / 2, rel=1e-4)
    assert schedule.ends_in_pure_noise
    assert not SCHEDULES["stable_diffusion"].ends_in_pure_noise


@pytest.mark.parametrize("name", ["stable_diffusion", "zero_terminal"])
@pytest.mark.parametrize("part", [0.25, 0.5, 0.9])
def test_the_angle_is_linear_between_timesteps(name, part):
    schedule = SCHEDULES[name]
    t = torch.tensor([0, 500, 998], dtype=torch.float64)

    def angle(time):
        return torch.atan2(schedule.sigma(time), schedule.alpha(time))

    torch.testing.assert_close(angle(t + part), (1 - part) * angle(t) + part * angle(t + 1), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", SCHEDULES)
def test_noise_only_grows_with_the_timestep(name):
    schedule = SCHEDULES[name]
    t = torch.linspace(0, schedule.last, 4001, dtype=torch.float64)
    assert (schedule.sigma(t).diff() > 0).all()
    assert (schedule.alpha(t).diff() < 0).all()


@pytest.mark.parametrize("name", SCHEDULES)
@given(part=st.floats(0.0, 1.0))
def test_a_place_is_found_by_its_noise_share(name, part):
    schedule = SCHEDULES[name]
    place = schedule.place(torch.tensor([part * schedule.last], dtype=torch.float64))
    found = schedule.place_at(place.noise_share)
    for value in ("timestep", "alpha", "sigma"):
        torch.testing.assert_close(getattr(found, value), getattr(place, value), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.float16, torch.float32])
def test_weights_are_float32_whatever_the_timesteps_are(dtype):
    schedule = SCHEDULES["stable_diffusion"]
    t = torch.tensor([7, 600]).to(dtype)
    assert schedule.alpha(t).dtype == torch.float32
    assert torch.equal(schedule.alpha(t), schedule.alpha(torch.tensor([7, 600])))


def test_weights_are_float64_for_float64_timesteps():
    assert SCHEDULES["flow"].sigma(torch.tensor([1.0], dtype=torch.float64)).dtype == torch.float64


def test_half_log_snr_is_finite_at_both_ends():
    place = SCHEDULES["flow"].place(torch.tensor([0.0, 500.0, 1000.0], dtype=torch.float64))
    assert place.half_log_snr.isfinite().all()
    assert place.half_log_snr[1] == pytest.approx(0.0)
    assert (place.half_log_snr.diff() < -20).all()


@pytest.mark.parametrize(
    "table",
    [
        torch.tensor([0.9]),
        torch.tensor([0.9, 0.9]),
        torch.tensor([0.5, 0.6]),
        torch.tensor([1.2, 0.6]),
        torch.tensor([0.5, -0.1]),
        torch.tensor([0.5, math.nan]),
    ],
)
def test_a_table_that_is_no_noise_schedule_is_refused(table):
    with pytest.raises(ValueError, match="alphas_cumprod"):
        NoiseSchedule.variance_preserving(table)


def test_a_table_of_two_dimensions_is_refused():
    # the shape check of the tests' type checker comes first where it is on, and raises a TypeError
    with pytest.raises((ValueError, TypeError)):
        NoiseSchedule.variance_preserving(torch.tensor([[0.9, 0.5], [0.4, 0.3]]))


def test_flow_matching_needs_a_timestep():
    with pytest.raises(ValueError, match="num_timesteps"):
        NoiseSchedule.flow_matching(0)


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        diffusers.FlowMatchHeunDiscreteScheduler(),
        diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0),
        diffusers.UniPCMultistepScheduler(use_flow_sigmas=True),
        diffusers.DPMSolverMultistepScheduler(prediction_type="flow_prediction"),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_flow_matching_is_recognised_whatever_betas_lie_about(scheduler):
    schedule = NoiseSchedule.from_diffusers(scheduler)
    assert schedule.form == "flow_matching"
    assert schedule.sigma(torch.tensor([250])).item() == 0.25


@pytest.mark.parametrize(
    "scheduler_class",
    [
        diffusers.DDIMScheduler,
        diffusers.DDPMScheduler,
        diffusers.PNDMScheduler,
        diffusers.EulerDiscreteScheduler,
        diffusers.UniPCMultistepScheduler,
        diffusers.DPMSolverMultistepScheduler,
    ],
)
def test_variance_preserving_is_read_from_the_betas(scheduler_class):
    schedule = NoiseSchedule.from_diffusers(scheduler_class(**BETAS))
    t = torch.arange(1000)
    expected = diffusers.DDPMScheduler(**BETAS).alphas_cumprod
    torch.testing.assert_close(schedule.alpha(t) ** 2, expected, rtol=1e-5, atol=1e-9)
    assert schedule.last == 999


@pytest.mark.parametrize(
    "scheduler_class",
    [diffusers.DDIMScheduler, diffusers.EulerDiscreteScheduler, diffusers.UniPCMultistepScheduler],
)
def test_zero_terminal_snr_is_zero_for_every_scheduler(scheduler_class):
    schedule = NoiseSchedule.from_diffusers(scheduler_class(**BETAS, rescale_betas_zero_snr=True))
    assert schedule.alpha(torch.tensor([999])).item() == 0.0


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.EDMEulerScheduler(),
        diffusers.EulerDiscreteScheduler(timestep_type="continuous", prediction_type="v_prediction"),
        diffusers.SCMScheduler(),
        object(),
        np.zeros(3),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
def test_an_unknown_scheduler_is_named(scheduler):
    with pytest.raises(ConfigError, match=f"must have .*got {type(scheduler).__name__}"):
        NoiseSchedule.from_diffusers(scheduler)
