"""Half precision: weights take half the memory, and what the parts of a base model take and give stays float32."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import torch
from accelerate.utils import convert_outputs_to_fp32
from torch import nn

WIDE = "T5"
"""How the classes of encoders begin whose values leave the range of float16."""


def encoder_dtypes(
    listed: Mapping[str, Any], names: Sequence[str], precision: torch.dtype
) -> dict[str, torch.dtype]:  # fmt: skip
    """In which number format the weights of each text encoder are kept.

    Args:
        listed: a ``model_index.json``.
        names: of the text encoders, some of which may not be listed.
        precision: of the run: bfloat16 or float16, of which T5 takes the first; or float32.
    """
    found = {}
    for name in names:
        wide = str(listed.get(name, [None, None])[-1]).startswith(WIDE)
        found[name] = torch.bfloat16 if wide and precision == torch.float16 else precision
    return found


def halve_network(network: nn.Module, dtype: torch.dtype) -> None:
    """Halves all weights of a denoising network, once; from then on it computes in mixed precision.

    Rollouts, training, probes and pipelines may call it alike: it takes float32, and float32 is what it gives, so that
    schedulers keep latents in float32 between the steps.

    Args:
        network: frozen.
        dtype: nothing is done for float32.
    """
    if dtype == torch.float32:
        return
    for tensor in (*network.parameters(), *network.buffers()):  # a table of positions too, as a folder's is read
        tensor.data = tensor.data.to(dtype if tensor.is_floating_point() else tensor.dtype)
    network.forward = convert_outputs_to_fp32(_mixed(network, _prompted(network.forward, dtype), dtype))


def halve(pipeline: Any, dtypes: Mapping[str, torch.dtype]) -> None:
    """Halves the linear layers of a pipeline's text encoders, once; from then on they compute in mixed precision.

    Embeddings and norms are kept in float32: they are small, values pass on in their format, and from an encoder's
    first weights pipelines take the format of prompts and of latents. They are rounded all the same: a folder is read
    in the half format, to spare the memory of the whole, and a single file of the same model must give the same.

    Args:
        pipeline: a part of it that is None is passed over.
        dtypes: from :func:`encoder_dtypes`; nothing is done for float32.
    """
    for name, dtype in dtypes.items():
        encoder = getattr(pipeline, name)
        if encoder is None or dtype == torch.float32:
            continue
        for module in encoder.modules():
            for weights in module.parameters(recurse=False):
                rounded = weights.data.to(dtype)
                weights.data = rounded if isinstance(module, nn.Linear) else rounded.float()
        encoder.forward = convert_outputs_to_fp32(_mixed(encoder, encoder.forward, dtype))


def _mixed(part: nn.Module, plain: Callable[..., Any], dtype: torch.dtype) -> Callable[..., Any]:
    @wraps(plain)
    def forward(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(next(part.parameters()).device.type, dtype):
            return plain(*args, **kwargs)

    return forward


def _prompted(plain: Callable[..., Any], dtype: torch.dtype) -> Callable[..., Any]:
    """Takes encoded prompts in float32 as pipelines give them, which a norm on the CPU does not take beside others."""

    @wraps(plain)
    def forward(*args: Any, encoder_hidden_states: torch.Tensor, **kwargs: Any) -> Any:
        return plain(*args, encoder_hidden_states=encoder_hidden_states.to(dtype), **kwargs)

    return forward
