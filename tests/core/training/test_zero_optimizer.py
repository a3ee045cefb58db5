"""DeepSpeed's engine with the optimizer of one process; what two of them do is tested with whole trainings.

What needs DeepSpeed itself is skipped where it is not installed.
"""

import math
import sys
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from torch import distributed as dist
from torch import nn

from core.config.deepspeed import MODULE
from core.errors import ConfigError
from core.training.deepspeed import ZeroOptimizer

needs_deepspeed = pytest.mark.skipif(find_spec(MODULE) is None, reason="deepspeed is not installed")
make = partial(torch.optim.AdamW, lr=0.01, weight_decay=0.1)


@pytest.fixture(scope="module")
def group():
    """A group of this process alone; DeepSpeed takes but one in its life."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", "0")
        dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        yield
        dist.destroy_process_group()


def weights(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((5, 7), (3,), (11, 2))]


def advance(optimizer, parameters, steps, clip=None) -> list[float]:
    """Steps at falling rates with the gradients of those steps; their norms."""
    norms = []
    for step in steps:
        optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
        for parameter, gradient in zip(parameters, weights(100 + step), strict=True):
            parameter.grad = gradient.detach()
        norms.append(float(nn.utils.clip_grad_norm_(parameters, clip)) if clip is not None else 0.0)
        optimizer.step()
        norms[-1] = norms[-1] if clip is not None else optimizer.grad_norm
        optimizer.zero_grad()
    return norms


@needs_deepspeed
@pytest.mark.parametrize("stage", [1, 2])
def test_it_steps_as_adamw_does(group, stage):
    own, split = weights(0), weights(0)
    plain = make(own)
    zero = ZeroOptimizer(make, split, stage, 1.0, torch.device("cpu"))
    assert advance(zero, split, range(4)) == [pytest.approx(norm) for norm in advance(plain, own, range(4), clip=1.0)]
    for left, right in zip(own, split, strict=True):
        torch.testing.assert_close(left, right)
    with zero.whole():
        for left, right in zip(own, split, strict=True):
            torch.testing.assert_close(dict(plain.state[left]), zero.state[right])
    assert not zero.state


@needs_deepspeed
def test_what_is_loaded_is_gone_on_from_bit_by_bit(group):
    first, second = weights(0), weights(1)
    zero = ZeroOptimizer(make, first, 1, 1.0, torch.device("cpu"))
    advance(zero, first, range(2))
    again = ZeroOptimizer(make, second, 1, 1.0, torch.device("cpu"))
    with zero.whole(), torch.no_grad():
        for left, right in zip(first, second, strict=True):
            right.copy_(left)
            again.state[right] = {name: value.clone() for name, value in zero.state[left].items()}
    again.spread()
    assert not again.state
    for optimizer, parameters in ((zero, first), (again, second)):
        advance(optimizer, parameters, range(2, 4))
    assert all(torch.equal(left, right) for left, right in zip(first, second, strict=True))


@needs_deepspeed
def test_a_gradient_that_is_no_number_moves_nothing_and_is_told(group):
    own = weights(0)
    zero = ZeroOptimizer(make, own, 1, 1.0, torch.device("cpu"))
    own[0].grad = torch.full_like(own[0], torch.nan)
    zero.step()
    assert not math.isfinite(zero.grad_norm)
    assert all(torch.equal(left, right) for left, right in zip(own, weights(0), strict=True))


def test_without_deepspeed_no_optimizer_is_split(monkeypatch):
    monkeypatch.setitem(sys.modules, MODULE, None)
    with pytest.raises(ConfigError, match=r'only where it works.*pip install "rollout-workbench\[deepspeed\]"'):
        ZeroOptimizer(make, weights(0), 1, 1.0, torch.device("cpu"))
