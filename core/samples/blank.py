"""Samples that show nothing: black ones, as numbers that overflow give them, and flat ones. Imports no torch."""

from typing import Literal

from PIL import Image, ImageStat

SPREAD = 2.0
"""Standard deviation of a channel, of 255, up to which a picture counts as flat: less than an eye sees."""
DARK = 2.0
"""Mean of a channel, of 255, up to which a flat picture counts as black."""

Blank = Literal["black", "flat"]


def blank(picture: Image.Image) -> Blank | None:
    """How a picture shows nothing, None where it shows something."""
    facts = ImageStat.Stat(picture.convert("RGB"))
    if max(facts.stddev) > SPREAD:
        return None
    return "black" if max(facts.mean) <= DARK else "flat"


def blank_text(found: Blank, step: int, file_name: str) -> str:
    """One sentence for people."""
    what = "black" if found == "black" else "one flat colour"
    return f"The sample {file_name} at step {step} is {what}: it shows nothing"
