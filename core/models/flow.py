"""What the flow matching transformers share: which scheduler they take, and how it is shifted by resolution."""

import inspect
from typing import Any

from core.errors import ConfigError
from core.models.loading import refused
from core.noise.schedule import NoiseSchedule

KIND = "flow_matching"


def check_flow(pipeline: Any, path: str) -> None:
    """Passes a scheduler of a flow matching model.

    Raises:
        DataError: it is none, or it cannot be shifted by resolution though its configuration asks for that.
    """
    scheduler, name = pipeline.scheduler, type(pipeline.scheduler).__name__
    try:
        form = NoiseSchedule.from_diffusers(scheduler).form
    except (ConfigError, ValueError) as error:
        raise refused(f"have a flow matching scheduler, got a {name} in {path!r} ({error})") from error
    if form != KIND:
        raise refused(f"have a flow matching scheduler, got a {name} in {path!r}")
    if (
        scheduler.config.get("use_dynamic_shifting")
        and "mu" not in inspect.signature(scheduler.set_timesteps).parameters
    ):
        raise refused(f"have a scheduler that can be shifted by resolution, got a {name} in {path!r}")


def resolution_shift(scheduler: Any, tokens: int, most: float) -> float:
    """The pipelines' ``mu``: linear in the number of tokens (Esser et al. 2024, section 5.3.2, on a logarithm).

    Args:
        scheduler: its configuration has the two ends of the line.
        tokens: of the picture.
        most: ``max_shift`` where the configuration has none.
    """
    config = scheduler.config
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", most)
    return low + (tokens - few) * (high - low) / (many - few)
