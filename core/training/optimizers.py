"""The optimizer of the LoRA, and its state as plain tensors and numbers, whatever the optimizer keeps."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from core.config.optimizers import EXTRAS, install_command
from core.config.training import TrainingOptions
from core.errors import ConfigError, Problem

STATE_NUMBERS = {"adamw": 2.0, "adamw_8bit": 2.0, "prodigy": 4.0}
"""Numbers that each keeps for one of the LoRA's."""
SMALLEST_8BIT = 4096
"""bitsandbytes keeps the state of a matrix of fewer numbers in float32."""
MATRICES = ("exp_avg", "exp_avg_sq", "state1", "state2")
"""States with the shape of their parameter; others have shapes of their own."""

Groups = list[dict[str, Any]]
"""Parameters that share a learning rate, as torch's optimizers take them."""


def make_optimizer(
    training: TrainingOptions, parameters: Sequence[nn.Parameter], told: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """The optimizer that the options name; on the device of its parameters.

    Args:
        training: the options.
        parameters: of the network's LoRA.
        told: of the text encoders' LoRA, which have a learning rate of their own where one is given.

    Raises:
        ConfigError: what it needs is not installed, or does not load here.
    """
    common = {
        "lr": training.learning_rate, "betas": (training.adam_beta1, training.adam_beta2),
        "weight_decay": training.adam_weight_decay, "eps": training.adam_epsilon,
    }  # fmt: skip
    return _MAKERS[training.optimizer](_groups(training, parameters, told), common)


def _groups(training: TrainingOptions, parameters: Sequence[nn.Parameter], told: Sequence[nn.Parameter]) -> Groups:
    own = {} if training.text_encoder_lr is None else {"lr": training.text_encoder_lr}
    return [{"params": list(parameters)}, *([{"params": list(told), **own}] if told else [])]


def _adamw(parameters: Groups, common: dict[str, Any]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, **common)


def _adamw_8bit(parameters: Groups, common: dict[str, Any]) -> torch.optim.Optimizer:
    """State in blocks of 8 bits (Dettmers et al. 2022)."""
    return _module("adamw_8bit").optim.AdamW8bit(parameters, min_8bit_size=SMALLEST_8BIT, **common)


def _prodigy(parameters: Groups, common: dict[str, Any]) -> torch.optim.Optimizer:
    """Finds its own step size, which the learning rate multiplies (Mishchenko & Defazio 2024).

    Its paper's own settings for diffusion: bias correction, and no growth while the learning rate warms up.
    """
    return _module("prodigy").Prodigy(parameters, use_bias_correction=True, safeguard_warmup=True, **common)


_MAKERS: Mapping[str, Callable[[Groups, dict[str, Any]], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adamw_8bit": _adamw_8bit,
    "prodigy": _prodigy,
}


def _module(optimizer: str) -> Any:
    name = EXTRAS[optimizer][0]
    try:
        return import_module(name)
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        rule = f"optimizer must be one that loads here, got '{optimizer}': {name} does not ({error})"
        raise ConfigError([Problem("optimizer", f"{rule}; take adamw, or {install_command(optimizer)}")]) from error


def try_optimizer(training: TrainingOptions, device: torch.device) -> None:
    """Takes two steps with a matrix of its own, large enough for 8 bits: some optimizers do not work on every device.

    Raises:
        ConfigError: it cannot be had, or does not work on this device.
    """
    if training.optimizer not in EXTRAS:
        return
    matrix = nn.Parameter(torch.ones(SMALLEST_8BIT // 64, 64, device=device))
    optimizer = make_optimizer(training, [matrix])
    try:
        for _ in range(2):
            matrix.grad = torch.ones_like(matrix)
            optimizer.step()
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        said = str(error).strip().splitlines()
        rule = f"optimizer must be one that works on {device.type}, got '{training.optimizer}'"
        raise ConfigError([Problem("optimizer", f"{rule} ({said[0] if said else 'no reason'}); take adamw")]) from error


def state_bytes(optimizer: str, parameters: Iterable[Tensor]) -> int:
    """What an optimizer keeps for parameters in float32, in bytes, by their shapes."""
    return sum(
        int(parameter.numel() * STATE_NUMBERS[optimizer] * _width(optimizer, parameter)) for parameter in parameters
    )


def _width(optimizer: str, parameter: Tensor) -> int:
    return 1 if optimizer == "adamw_8bit" and parameter.numel() >= SMALLEST_8BIT else 4


def read_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors by ``index.name``, and numbers: those of each parameter and those of the groups."""
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, dict[str, float]] = {}
    for index, parameter in enumerate(_parameters(optimizer)):
        for name, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value.detach().clone().contiguous().cpu()
            else:
                numbers.setdefault(str(index), {})[name] = value
    groups = [{name: value for name, value in group.items() if _is_number(value)} for group in optimizer.param_groups]
    return tensors, {"parameters": numbers, "groups": groups}


def write_state(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    """Puts back what :func:`read_state` gave, bit for bit.

    Raises:
        ValueError: it is the state of other parameters: the optimizer would take it, and fail or forget at the next
            step.
        KeyError: something is missing.
    """
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in numbers["parameters"].items()}
    for full_name, tensor in tensors.items():
        index, name = full_name.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    parameters = _parameters(optimizer)
    _check(state, parameters)
    for index, values in state.items():
        device = parameters[index].device
        optimizer.state[parameters[index]] = {
            name: value.to(device) if isinstance(value, Tensor) and name != "step" else value  # torch counts on the CPU
            for name, value in values.items()
        }
    for group, values in zip(optimizer.param_groups, numbers["groups"], strict=True):
        group.update(values)


def _check(state: Mapping[int, Mapping[str, Any]], parameters: Sequence[Tensor]) -> None:
    if sorted(state) != list(range(len(parameters))):
        raise ValueError(f"the optimizer's state is of {len(state)} parameters instead of {len(parameters)}")
    for index, values in state.items():
        for name in MATRICES:
            if name in values and values[name].shape != parameters[index].shape:
                shapes = f"{list(values[name].shape)} instead of {list(parameters[index].shape)}"
                raise ValueError(f"the optimizer's {name} of parameter {index} has shape {shapes}")


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
