"""What is known of a base model before it is loaded: whether it is flow matching, and its noisiest timestep."""

import json
import os
from collections.abc import Mapping
from typing import Any

from core.config.paths import EMBEDDED_BASES, EMBEDDED_FLOW, resolve_path
from core.regular import MEGABYTE, read_regular

FLOW_FAMILIES = frozenset({"sd3", "flux"})
MIXED_FAMILY = "stable_diffusion"
"""The family whose base models are of either kind; all others are of one."""
SCHEDULER_CONFIG = os.path.join("scheduler", "scheduler_config.json")


def flow_matching_known(family: str, name: str) -> bool | None:
    """Whether a base model is flow matching, as far as can be told without loading it.

    Args:
        family: The option ``family``.
        name: The option ``pretrained_model_name_or_path``; for a single file ``single_file_config``.

    Returns:
        True or False where the family, the embedded base or a local folder's own words decide; None where only the
        loaded model can tell (a hub name, a folder that is not there or cannot be read).
    """
    if family != MIXED_FAMILY:
        return family in FLOW_FAMILIES
    if name in EMBEDDED_BASES:
        return name == EMBEDDED_FLOW
    scheduler = _scheduler_config(name)
    return None if scheduler is None else _says_flow_matching(scheduler)


def last_timestep(family: str, name: str) -> int:
    """The noisiest timestep: 1000 for what is known to be flow matching, else 999."""
    return 1000 if flow_matching_known(family, name) else 999


def _scheduler_config(name: str) -> Mapping[str, Any] | None:
    """What the folder of a local base model says about its scheduler; None if there is none that can be read."""
    try:
        table = json.loads(read_regular(resolve_path(name) / SCHEDULER_CONFIG, MEGABYTE))
    except (OSError, ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def _says_flow_matching(scheduler: Mapping[str, Any]) -> bool:
    """The marks by which ``NoiseSchedule.from_diffusers`` tells it too; betas beside them mean nothing."""
    return (
        str(scheduler.get("_class_name", "")).startswith("FlowMatch")
        or scheduler.get("use_flow_sigmas") is True
        or scheduler.get("prediction_type") == "flow_prediction"
    )
