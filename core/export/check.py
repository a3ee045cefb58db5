"""Whether an export does what the run's own adapter does: on a fresh base model, through the format's own reader.

Three networks answer the same question: the base model, the base with the run's adapter, the base with the export. What
counts is how far the export is from the adapter, over how far the adapter is from the base.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from peft import PeftModel
from torch import Tensor

from core.errors import RunError, first_line
from core.export.formats import FORMATS
from core.models.family import Family
from core.models.lora_fit import parts_of, quiet
from core.models.saving import NETWORKS
from core.noise.denoiser import evaluation_mode
from core.runs.exported import Agreement
from core.samples.generate import Recipe
from core.samples.latents import sample_latents
from core.shortage import is_out_of_memory

TOLERANCE = MappingProxyType({"network": 1e-3, "picture": 1e-2})
"""Largest deviation, as a share of the change that the adapter makes. A chain of sampling steps enlarges rounding."""
ROUNDING = MappingProxyType({"network": 1e-6, "picture": 1e-3})
"""What two ways to compute the same may differ by, as a share of the base model's own answer."""
SHARES = (0.9, 0.5, 0.1)
"""Timesteps that the network is asked at, as shares of the noise schedule."""
OnStep = Callable[[], None]


@dataclass(frozen=True)
class Question:
    """What all three are asked.

    Attributes:
        prompt: Of the picture and of the condition.
        recipe: How the picture is drawn.
        seed: Of noise and picture.
    """

    prompt: str
    recipe: Recipe
    seed: int

    @property
    def steps(self) -> int:
        """Calls of ``on_step`` that an answer takes."""
        return self.recipe.steps


@dataclass(frozen=True)
class Answer:
    """What a network said: predictions at a few timesteps, and a picture in 0..1, float32 on the CPU."""

    network: Tensor
    picture: Tensor


def ask(family: Family, question: Question, on_step: OnStep) -> Answer:
    """Asks a base model, with whatever lies on it.

    Args:
        family: On its device.
        question: The same for all.
        on_step: Called after each sampling step; an exception that it raises ends the drawing.
    """
    size, seed = question.recipe.size, question.seed
    with torch.inference_mode(), evaluation_mode(family.network):
        condition = family.encode_prompts([question.prompt] * len(SHARES))
        blank = torch.zeros(len(SHARES), 3, size, size, device=condition.device)
        latents = family.encode_pictures(blank)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed)).to(latents)
        last = family.schedule.num_timesteps - 1
        timestep = torch.tensor([round(share * last) for share in SHARES], device=latents.device, dtype=latents.dtype)
        predicted = family.predict(family.network, noise, timestep, condition)
        drawn = sample_latents(family, [question.prompt], [seed], question.recipe, on_step=on_step)
        return Answer(predicted.float().cpu(), family.decode(drawn))


def put_on(family: Family, format: str, folder: Path, name: str) -> None:
    """Loads an export as its users will.

    Args:
        family: Fresh.
        format: Of the export.
        folder: That holds it.
        name: Of the export.

    Raises:
        RunError: Its reader does not take it.
    """
    with quiet():
        try:
            _READERS[format](family, folder, FORMATS[format].file_of(name))
        except (OSError, ValueError, LookupError, RuntimeError, TypeError, AttributeError) as error:
            if is_out_of_memory(error):
                raise  # the export is not to blame
            first = first_line(error)
            raise RunError(f"the {format} export must load through its own reader, got an error: {first}") from error
    for part in parts_of(family).values():
        part.eval()


def compare(base: Answer, own: Answer, exported: Answer) -> tuple[Agreement, ...]:
    """How far the export is from the run's adapter, for the network and for the picture."""
    return tuple(
        _agreement(what, getattr(base, what), getattr(own, what), getattr(exported, what)) for what in TOLERANCE
    )


def require_agreement(format: str, found: Sequence[Agreement]) -> None:
    """Passes an export that does what the adapter does.

    Raises:
        RunError: It does not; names what was measured.
    """
    bad = [each for each in found if not each.holds]
    if bad:
        told = "; ".join(each.text for each in bad)
        raise RunError(f"the {format} export must change what the run's adapter changes, got {told}; it was removed")


def _agreement(what: str, base: Tensor, own: Tensor, exported: Tensor) -> Agreement:
    """The rms differences over all elements, and whether they are within the tolerance."""
    change, amount, off = (_rms(a, b) for a, b in ((own, base), (exported, base), (exported, own)))
    allowed = TOLERANCE[what] * change + ROUNDING[what] * _rms(base, torch.zeros_like(base))
    return Agreement(
        what=what, change=change, deviation=off / change if change > 0 else None,
        amount=amount / change if change > 0 else None, tolerance=TOLERANCE[what],
        holds=math.isfinite(off) and off <= allowed,
    )  # fmt: skip


def _rms(a: Tensor, b: Tensor) -> float:
    return (a.double() - b.double()).square().mean().sqrt().item()


def _diffusers(family: Family, folder: Path, file: str) -> None:
    family.pipeline.load_lora_weights(folder, weight_name=file, use_safetensors=True)


def _peft(family: Family, folder: Path, file: str) -> None:
    """PEFT puts its layers into the network itself, so that the pipeline draws with them."""
    for name, part in parts_of(family).items():
        place = folder if name in NETWORKS else folder / name
        if (place / file).is_file():
            PeftModel.from_pretrained(part, str(place), torch_device=str(next(part.parameters()).device))


Reader = Callable[[Family, Path, str], None]
_READERS: Mapping[str, Reader] = MappingProxyType({"diffusers": _diffusers, "kohya": _diffusers, "peft": _peft})
