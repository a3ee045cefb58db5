"""How pictures are cut and masked in kohya's sd-scripts."""

from typing import Any

from core.config.foreign.buckets import sizes_of_area, written
from core.config.foreign.mapping import Took, Values, as_number
from core.config.foreign.values import switch_of

BUCKET_SIZES = {"min_bucket_reso": 256, "max_bucket_reso": 1024, "bucket_reso_steps": 64}
BUCKETS = "its sizes are written out here; a picture gets the nearest by diffusers' rule, and small ones are scaled up"
MASKS = (
    "masks lie in a folder of their own there, here beside the pictures; a picture's loss is a mean over its mask here"
)


def take_resolution(value: Any, values: Values) -> Took:
    """The side of a square; of a rectangle, of one of about its area."""
    parts = value if isinstance(value, list) else str(value).split(",")
    width, height = (as_number({"side": part}, "side") for part in parts) if len(parts) == 2 else (0.0, 0.0)
    if width > 0 and height > 0 and width != height:
        side = max(64, round((width * height) ** 0.5 / 64) * 64)
        return Took("differs", {"resolution": side}, "a rectangle there; here a square of about that area")
    return Took("mapped", {"resolution": parts[0] if parts else value})


def take_buckets(value: Any, values: Values) -> Took:
    """The sizes that its buckets have, of the area of the resolution."""
    if not switch_of(value):
        return Took("ignored", words="off there: squares of resolution, as here")
    taken = take_resolution(values.get("resolution", 512), values).options["resolution"]
    side = as_number({"side": taken}, "side")
    least, most, step = (int(as_number(values, name, default)) for name, default in BUCKET_SIZES.items())
    sizes = sizes_of_area(side * side, least, most, step)
    if not sizes:
        return Took("differs", words="its sizes cannot be made from these numbers: give aspect_ratio_buckets")
    return Took("differs", {"aspect_ratio_buckets": written(sizes)}, BUCKETS)


def take_mask(value: Any, values: Values) -> Took:
    """A loss that counts nothing of what a mask shows in black."""
    if not switch_of(value):
        return Took("mapped", {"masked_loss": False})
    return Took("differs", {"masked_loss": True, "unmasked_weight": 0.0}, MASKS)
