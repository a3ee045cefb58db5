"""What the UNet families share: what their networks predict, and what is refused."""

from collections.abc import Sequence
from typing import Any

from core.models.loading import refused

KINDS = {
    "epsilon": "epsilon",
    "v_prediction": "v_prediction",
    "sample": "sample",
    "flow_prediction": "flow_matching",
}
"""What the network predicts, by the ``prediction_type`` of the scheduler."""


def check_unet(pipeline: Any, path: str, kinds: Sequence[str] = tuple(KINDS)) -> None:
    """Passes a pipeline whose network can be trained.

    Args:
        pipeline: that was loaded.
        path: it was loaded from.
        kinds: of ``KINDS``, those that the family has.

    Raises:
        DataError: its scheduler names no known prediction, or the network was distilled to take its guidance.
    """
    kind = pipeline.scheduler.config.get("prediction_type")
    if not isinstance(kind, str) or kind not in kinds:
        what = f"a {type(pipeline.scheduler).__name__} with prediction_type {kind!r}"
        raise refused(f"have a scheduler that predicts {', '.join(kinds)}, got {what} in {path!r}")
    if pipeline.unet.config.get("time_cond_proj_dim") is not None:
        raise refused(f"have a unet that is told no guidance (time_cond_proj_dim), got one that is in {path!r}")
