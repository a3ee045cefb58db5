"""The host never waits for the device inside a rollout, and the plan crosses over once.

The latents live on the meta device, which has no values: whatever reads one back (`item`, `bool`, `tolist`, a copy to
the CPU, an output whose shape depends on values) raises there, as it would make the host wait on a GPU.
"""

import pytest
import torch
from noise_schedules import SCHEDULES
from torch.utils._python_dispatch import TorchDispatchMode

from core.rollout.engine import roll
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS
from core.rollout.visited import visit

STEPS = [3, 0, 1, 4, 2]


class Crossings(TorchDispatchMode):
    """Counts copies from the CPU to the device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = {} if kwargs is None else kwargs
        result = function(*args, **kwargs)
        sources = [arg for arg in args if isinstance(arg, torch.Tensor)]
        if isinstance(result, torch.Tensor) and result.is_meta and any(not arg.is_meta for arg in sources):
            self.count += 1
        return result


@pytest.fixture
def plan():
    steps = torch.tensor(STEPS)
    start = torch.arange(len(steps)) + 200
    return RolloutPlan(source=start + 40 * steps, target=start, steps=steps)


def latents():
    return torch.empty(2, len(STEPS), 4, 8, 8, device="meta")


def predict(noisy, timestep, items):
    assert noisy.is_meta
    assert timestep.is_meta
    assert items.is_meta
    return noisy * 0.5


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", ["v_prediction", "flow_matching"])
def test_a_rollout_reads_nothing_back_and_sends_its_plan_once(plan, sampler, kind, order):
    schedule = SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]
    clean, noise = latents()
    if sampler == "rk4" and kind == "v_prediction":  # its table of angles stays on the device after the first time
        schedule.place_at(torch.full((1,), 0.5, dtype=torch.float64, device="meta"))
    with Crossings() as crossings:
        result = roll(predict, clean, noise, plan, schedule=schedule, kind=kind, sampler=sampler, order=order)
    assert result.rolled.is_meta
    assert crossings.count == 1


@pytest.mark.parametrize("sampler", ["unipc", "euler", "dpm"])
def test_visited_rollouts_read_nothing_back_and_send_their_plan_once(plan, sampler):
    clean, noise = latents()
    with Crossings() as crossings:
        trained = visit(
            lambda at: predict(at.noisy, at.place.timestep, at.items), clean, noise, plan,
            schedule=SCHEDULES["stable_diffusion"], kind="v_prediction", sampler=sampler,
        )  # fmt: skip
    assert trained == sum(STEPS) + len(STEPS)
    assert crossings.count == 1


def test_the_device_would_notice(plan):
    """What the tests above rely on."""
    with pytest.raises((RuntimeError, NotImplementedError)):
        torch.empty(2, device="meta").tolist()
    with pytest.raises((RuntimeError, NotImplementedError)):
        bool(torch.empty((), device="meta"))
    with Crossings() as crossings:
        torch.ones(3).to("meta")
    assert crossings.count == 1
