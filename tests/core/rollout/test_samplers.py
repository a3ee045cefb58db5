"""The registry of samplers: complete, honest about calls, and cheap to import."""

import subprocess
import sys

import pytest
import torch
from analytic_flows import BentDenoiser
from noise_schedules import SCHEDULES

from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS, build_sampler
from core.rollout.samplers.base import Model, Sampler


def test_the_samplers_of_the_options_are_there():
    assert list(SAMPLERS) == ["unipc", "euler", "dpm", "rk4"]


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_entry_tells_the_truth(name):
    entry = SAMPLERS[name]
    assert entry.name == name
    assert entry.help.endswith(".")
    sampler = build_sampler(name, 3)
    assert isinstance(sampler, Sampler)
    schedule = SCHEDULES["stable_diffusion"]
    items = torch.arange(2)
    model = Model(BentDenoiser(schedule, "epsilon"), items, schedule=schedule, kind="epsilon", dtype=torch.float32)
    state, memory = torch.ones(2, 3, dtype=torch.float64), ()
    for steps, t in enumerate([900.0, 850.0, 800.0, 750.0], start=1):
        here, there = (schedule.place(torch.full((2,), value, dtype=torch.float64)) for value in (t, t - 50))
        before = state.clone()
        following, memory = sampler.step(model, state, here, there, memory)
        assert torch.equal(state, before)
        assert model.calls == steps * entry.calls_per_step
        state = following
    assert len(memory) <= 3


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("dpm", 2), ("dpm", 3), ("unipc", 2), ("unipc", 3)])
def test_a_step_to_the_clean_end_takes_the_last_estimate_as_it_is(sampler, order):
    schedule = SCHEDULES["flow"]
    estimates = []

    def denoiser(noisy, timestep, items):
        estimates.append(torch.sin(3 * noisy))
        return estimates[-1]

    clean, noise = torch.randn((2, 1, 5), generator=torch.Generator().manual_seed(0))
    plan = RolloutPlan(source=torch.tensor([400]), target=torch.tensor([0]), steps=torch.tensor([4]))
    result = roll(denoiser, clean, noise, plan, schedule=schedule, kind="sample", sampler=sampler, order=order)
    torch.testing.assert_close(result.rolled, estimates[-1])


@pytest.mark.parametrize("module", ["samplers", "ramp", "offsets", "cost"])
def test_what_the_page_needs_imports_no_torch(module):
    code = f"import sys, core.rollout.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
