"""DeepSpeed's ZeRO stages 1 and 2 for an adapter: every process keeps its share of the optimizer's state.

DeepSpeed reduces gradients in each backward, so all processes would have to make as many of them; in mode visited they
do not. Gradients are therefore collected whole in each process, as without DeepSpeed, and handed to its engine once an
optimizer step, in one backward of its own. From there on it is DeepSpeed that averages, splits, clips and steps.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist

from core.config.deepspeed import INSTALL, MODULE
from core.errors import ConfigError, Problem
from core.training.others import lost_contact

MOMENTS = ("exp_avg", "exp_avg_sq")


class _Twins(nn.Module):
    """The adapter's parameters once more, in the same memory, with a forward whose gradients are those it is given."""

    def __init__(self, parameters: Sequence[nn.Parameter]):
        super().__init__()
        self.each = nn.ParameterList(nn.Parameter(parameter.data) for parameter in parameters)

    def forward(self, gradients: Sequence[Tensor]) -> Tensor:
        products = [(twin * gradient).sum() for twin, gradient in zip(self.each, gradients, strict=True)]
        return torch.stack(products).sum()


class ZeroOptimizer(torch.optim.Optimizer):
    """AdamW whose state DeepSpeed splits over the processes, seen from the network's own parameters.

    ``step`` averages over the processes and clips too. ``state`` is empty but in ``whole`` and before ``spread``.
    """

    def __init__(
        self, make: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer], parameters: Sequence[nn.Parameter],
        stage: int, max_norm: float, device: torch.device,
    ):  # fmt: skip
        """Hands the parameters to DeepSpeed; from now on they are views of one flat tensor.

        Args:
            make: AdamW over parameters, in one group.
            parameters: of the adapter, in float32, on the device, equal in all processes.
            stage: of ZeRO, 1 or 2.
            max_norm: to which longer gradients are shortened.
            device: of this process.

        Raises:
            ConfigError: DeepSpeed does not work here.
        """
        own = make(parameters)
        super().__init__(own.param_groups, own.defaults)
        self.grad_norm = 0.0
        self._twins = _Twins(parameters)
        self._inner = make(list(self._twins.each))
        self._engine = _engine(self._twins, self._inner, stage, max_norm, device)
        self._begin()

    def _begin(self) -> None:
        """Lets AdamW make its state, by a step that moves nothing and does not count."""
        for group in self._inner.param_groups:
            group["lr"] = 0.0
        self._advance([torch.zeros_like(parameter) for parameter in self._parameters()])
        self._count().zero_()

    def step(self, closure: None = None) -> None:
        """Averages the gradients over all processes, clips them and steps; ``grad_norm`` is that before clipping."""
        for own, inner in zip(self.param_groups, self._inner.param_groups, strict=True):
            inner["lr"] = own["lr"]
        self._advance([
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in self._parameters()
        ])  # fmt: skip

    def _advance(self, gradients: Sequence[Tensor]) -> None:
        self._engine.backward(self._engine(gradients))
        self._engine.step()
        self.grad_norm = float(self._engine.get_global_grad_norm())
        for parameter, twin in zip(self._parameters(), self._twins.each, strict=True):
            parameter.data = twin.data  # DeepSpeed may have moved it

    @contextmanager
    def whole(self) -> Iterator[None]:
        """A context in which the main process has all of the state; all of them must enter it."""
        full = import_module(MODULE).utils.safe_get_full_optimizer_state
        for parameter, twin in zip(self._parameters(), self._twins.each, strict=True):
            moments = {name: full(twin, name) for name in MOMENTS}
            if dist.get_rank() == 0:
                self.state[parameter] = {**moments, "step": self._count().clone()}
        try:
            yield
        finally:
            self.state.clear()

    def spread(self) -> None:
        """Takes over weights and state that were loaded, whole in each process, and keeps this one's share."""
        library = import_module(MODULE).utils
        for parameter, twin in zip(self._parameters(), self._twins.each, strict=True):
            library.safe_set_full_fp32_param(twin, parameter.data)
            for name in MOMENTS:
                library.safe_set_full_optimizer_state(twin, self.state[parameter][name], name)
            self._count().copy_(self.state[parameter]["step"])
        self.state.clear()

    def held(self) -> tuple[int, int]:
        """Numbers of the state that lie in this process, and all of them, the count of steps left out."""
        (share,) = self._inner.state.values()
        return (
            sum(share[name].numel() for name in MOMENTS),
            len(MOMENTS) * sum(parameter.numel() for parameter in self._parameters()),
        )

    def _parameters(self) -> list[nn.Parameter]:
        (group,) = self.param_groups
        return group["params"]

    def _count(self) -> Tensor:
        """How many steps were taken."""
        (share,) = self._inner.state.values()
        return share["step"]


def _engine(
    twins: nn.Module, optimizer: torch.optim.Optimizer, stage: int, max_norm: float, device: torch.device
) -> Any:
    if device.type == "cpu":
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # the one that is found first may be a GPU
    numbers = sum(parameter.numel() for parameter in twins.parameters())
    config = {
        "train_micro_batch_size_per_gpu": 1,  # of gradients that are handed over
        "gradient_accumulation_steps": 1,
        "gradient_clipping": max_norm,
        # by itself it would reserve a bucket of 500 million numbers, more than any adapter has
        "zero_optimization": {"stage": stage, "reduce_bucket_size": numbers, "allgather_bucket_size": numbers},
    }
    try:
        engine, *_ = import_module(MODULE).initialize(
            model=twins, optimizer=optimizer, model_parameters=list(twins.parameters()), config=config,
            dist_init_required=False,
        )  # fmt: skip
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        if lost_contact(error):
            raise
        said = str(error).strip().splitlines()
        reason = said[0] if said else type(error).__name__
        rule = f"accelerate_config_path must say DEEPSPEED only where it works, which it does not here ({reason})"
        raise ConfigError([Problem("accelerate_config_path", f"{rule}; {INSTALL} adds it")]) from error
    return engine
