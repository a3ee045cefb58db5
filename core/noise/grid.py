"""The timesteps that a diffusers scheduler samples at."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from core.noise.schedule import NoiseSchedule


def inference_grid(scheduler: Any, steps: int, **timing: Any) -> Float[Tensor, "points"]:
    """The timesteps that a diffusers scheduler samples at, ascending, shift and spacing included; it is left alone.

    A scheduler with an offset can begin one past the noise schedule's end: no training timestep lies there.

    Args:
        scheduler: any that ``NoiseSchedule.from_diffusers`` knows.
        steps: sampling steps.
        **timing: what else the pipeline hands to ``set_timesteps``: ``mu``, ``sigmas``.
    """
    own = type(scheduler).from_config(scheduler.config)
    own.set_timesteps(steps, **timing)
    schedule = NoiseSchedule.from_diffusers(own)
    if schedule.form == "flow_matching":  # its timesteps may be cut to whole numbers
        times = own.sigmas.cpu().double() * own.config["num_train_timesteps"]
        return torch.unique(times[times > 0].float(), sorted=True)
    grid = torch.unique(own.timesteps.float().cpu(), sorted=True)
    return grid[grid <= schedule.last]
