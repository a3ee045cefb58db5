"""The precision that a frozen network works in."""

import torch

from core.config.run import RunConfig
from core.errors import ConfigError, Problem
from core.samples.load import PRECISIONS


def require_precision(config: RunConfig) -> torch.dtype:
    """The dtype of the frozen network.

    Raises:
        ConfigError: the precision is not to be had on this machine.
    """
    precision = config.training.mixed_precision
    if precision == "fp16" and not torch.cuda.is_available():
        raise ConfigError(
            [Problem("mixed_precision", "mixed_precision must be no or bf16 without a GPU, got 'fp16'; use bf16 or no")]
        )
    return PRECISIONS[precision]
