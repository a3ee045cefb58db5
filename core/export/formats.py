"""The formats in which a LoRA leaves, and which family can have which. Imports no torch: the page offers them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.errors import Problem
from core.models.lora_path import DIFFUSERS_FILE, PEFT_FILE, SUFFIX


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: As it is typed.
        title: What people read.
        help: Who reads it, one sentence.
        file: Name of the weights; None where it is the export's own name.
        families: Families that can have it; None for all.
        instead: What to ask for where a family cannot have it, and why.
    """

    name: str
    title: str
    help: str
    file: str | None = None
    families: frozenset[str] | None = None
    instead: str = ""

    def file_of(self, name: str) -> str:
        """The file that holds the weights of an export of that name."""
        return f"{name}{SUFFIX}" if self.file is None else self.file


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        found.name: found
        for found in (
            Format(
                "diffusers",
                "diffusers",
                "What pipe.load_lora_weights reads; of SD3 and FLUX, ComfyUI too.",
                file=DIFFUSERS_FILE,
            ),
            Format(
                "kohya",
                "kohya (A1111, ComfyUI)",
                "One file under its own name, with an alpha for each module: AUTOMATIC1111, Forge, ComfyUI, InvokeAI.",
                families=frozenset({"stable_diffusion", "sdxl"}),
                instead="ask for diffusers, whose keys are what ComfyUI reads for this family",
            ),
            Format("peft", "PEFT", "A folder that PeftModel.from_pretrained reads.", file=PEFT_FILE),
        )
    }
)


def format_problem(name: str, family: str) -> Problem | None:
    """Why a format cannot be had; None where it can.

    Args:
        name: Of the format, as somebody typed it.
        family: Of the run.
    """
    found = FORMATS.get(name)
    if found is None:
        return Problem("--format", f"--format must be one of {', '.join(FORMATS)}, got {name!r}")
    if found.families is None or family in found.families:
        return None
    can = " or ".join(sorted(found.families))
    rule = f"--format must be {name} only for the family {can}, got a run of the family {family}; {found.instead}"
    return Problem("--format", rule)
