"""A frozen base model that is split over the processes (FSDP 2), while each of them holds the whole adapter.

The adapter is small: sharding it would save nothing, and whole it is saved, resumed, clipped and optimized as it is by
one process. What is split has a price: every forward needs all processes, though their rollouts differ in length and
one process alone draws pictures. ``Lockstep`` makes the idle ones join in.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from core.config.sharding import Sharding
from core.errors import ConfigError, Problem

_DONE, _TRAINS, _LOOKS = range(3)
"""What a process is about to do, in ascending order of what comes first: nothing more, a forward that a backward
follows, a forward without gradient."""
_LISTS = (nn.ModuleList, nn.ModuleDict)
"""Have no forward, before which their weights could be gathered."""


def shard(network: nn.Module, sharding: Sharding, device: torch.device) -> None:
    """Splits a network's frozen weights over all processes, in place; what is trained goes to ``device`` whole.

    Inputs and weights keep their dtypes: cast to bfloat16, a timestep would be another one.

    Args:
        network: with its adapter, equal in all processes.
        sharding: how.
        device: of this process.

    Raises:
        ConfigError: the network has no parts of the classes that are named.
    """
    trained = {parameter for parameter in network.parameters() if parameter.requires_grad}
    for parameter in trained:
        parameter.data = parameter.data.to(device)
    options = {
        "mesh": init_device_mesh(device.type, (dist.get_world_size(),)),
        "reshard_after_forward": sharding.reshard,
        "mp_policy": MixedPrecisionPolicy(cast_forward_inputs=False),
        "ignored_params": trained,
    }
    for part in _parts(network, sharding):
        fully_shard(part, **options)
    fully_shard(network, **options)


def _parts(network: nn.Module, sharding: Sharding) -> list[nn.Module]:
    """What is gathered at a time, inner parts before those that hold them."""
    inner = list(network.modules())[:0:-1]
    if sharding.policy == "SIZE_BASED_WRAP":
        return [part for part in inner if not isinstance(part, _LISTS) and _frozen(part) > sharding.min_num_params]
    if sharding.policy == "NO_WRAP":
        return []
    own = getattr(network, "_no_split_modules", None)
    names = set((() if own is None else own) if sharding.blocks is None else sharding.blocks)
    parts = [part for part in inner if type(part).__name__ in names]
    missing = sorted(names - {type(part).__name__ for part in parts})
    if sharding.blocks is not None and missing:
        rule = f"have fsdp_transformer_layer_cls_to_wrap of classes that the network has, got {', '.join(missing)}"
        raise ConfigError([Problem("accelerate_config_path", f"accelerate_config_path must {rule}")])
    return parts


def _frozen(part: nn.Module) -> int:
    return sum(each.numel() for each in part.parameters() if not each.requires_grad)


def held(network: nn.Module) -> tuple[int, int]:
    """Weights of a sharded network that lie in this process, and all of them."""
    parameters = list(network.parameters())
    own = sum((each.to_local() if isinstance(each, DTensor) else each).numel() for each in parameters)
    return own, sum(each.numel() for each in parameters)


def meet(parameters: Iterable[Tensor]) -> None:
    """Replaces gradients by their mean over all processes."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([each.numel() for each in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


class Lockstep:
    """Keeps the forwards of all processes in step: who has none to make joins those who have with one of its own.

    Before each forward every process says what it is about to do, and the first in order goes: a process whose turn
    has not come makes a forward of the same kind that changes nothing, and says it again. So each of them makes
    forwards and backwards of the same number and order, whatever they are for.
    """

    def __init__(self, network: nn.Module, call: Callable[[], Tensor], device: torch.device):
        """Watches a network from now on.

        Args:
            network: that was sharded.
            call: one forward of it, of the least size.
            device: of this process.
        """
        self._call, self._device = call, device
        self._joins = False
        network.register_forward_pre_hook(self._before, prepend=True)  # before its weights are gathered

    def wait(self) -> None:
        """Joins the others until nobody has a forward to make."""
        self._wait_turn(_DONE)

    def _before(self, _network: nn.Module, _inputs: object) -> None:
        if not self._joins:
            self._wait_turn(_TRAINS if torch.is_grad_enabled() else _LOOKS)

    def _wait_turn(self, wish: int) -> None:
        while (first := self._first(wish)) != wish:
            self._join(trains=first == _TRAINS)

    def _first(self, wish: int) -> int:
        said = torch.tensor(wish, device=self._device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return int(said.item())

    def _join(self, *, trains: bool) -> None:
        """A forward that leaves random numbers as they were and gradients as they were but for zeros."""
        self._joins = True
        devices = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices), torch.set_grad_enabled(trains):
                prediction = self._call()
                if trains:
                    (prediction * 0).sum().backward()
        finally:
            self._joins = False
