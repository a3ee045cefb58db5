"""Pictures from fixed seeds: equal in every arm but for the weights that draw them."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jaxtyping import Float
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from core import __version__
from core.models.family import Family
from core.runs.files import make_folder, write_whole
from core.runs.memory import DRAWN_TOGETHER

SAMPLERS = {
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "HeunDiscreteScheduler": "Heun",
    "LMSDiscreteScheduler": "LMS",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}
"""What AUTOMATIC1111 calls the schedulers of diffusers."""


@dataclass(frozen=True)
class Recipe:
    """How pictures are drawn.

    Attributes:
        steps: sampling steps of the pipeline's own scheduler.
        guidance: the pipeline's ``guidance_scale``.
        size: side in pixels.
        batch: pictures that are drawn together.
    """

    steps: int
    guidance: float
    size: int
    batch: int = DRAWN_TOGETHER


@dataclass(frozen=True)
class Sample:
    """One drawn picture and where it belongs: prompt index, prompt, seed; and what the sampler is called elsewhere."""

    prompt_index: int
    prompt: str
    seed: int
    picture: Image.Image
    sampler: str = ""


def generate(
    family: Family, prompts: Sequence[str], seeds: Sequence[int], recipe: Recipe, *, on_step: Callable[[], None]
) -> Iterator[Sample]:
    """Draws every prompt with every seed.

    Each picture starts from a CPU generator of its own seed, so the noise does not depend on the batch or the device.

    Args:
        family: the base model, with or without an adapter.
        prompts: texts, encoded as they stand.
        seeds: of the first noise.
        recipe: steps, guidance, size.
        on_step: called after each sampling step; an exception that it raises ends the drawing.
    """
    jobs = [(index, prompt, seed) for index, prompt in enumerate(prompts) for seed in seeds]
    for start in range(0, len(jobs), recipe.batch):
        chunk = jobs[start : start + recipe.batch]
        latents = family.sample(
            [prompt for _, prompt, _ in chunk], [seed for *_, seed in chunk], steps=recipe.steps,
            guidance=recipe.guidance, size=recipe.size, on_step=on_step,
        )  # fmt: skip
        for (index, prompt, seed), picture in zip(chunk, family.decode(latents), strict=True):
            yield Sample(index, prompt, seed, to_picture(picture), _sampler(family))


def _sampler(family: Family) -> str:
    """The pipeline's scheduler under the name that other tools have for it, else under its own."""
    name = type(family.pipeline.scheduler).__name__
    return SAMPLERS.get(name, name.removesuffix("Scheduler"))


def to_picture(picture: Float[Tensor, "3 height width"]) -> Image.Image:
    """8-bit RGB of a picture in 0..1."""
    return Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())


def sample_path(folder: Path, step: int, sample: Sample) -> Path:
    """``step-000500/p00-s42.png`` below ``folder``."""
    return folder / f"step-{step:06d}" / f"p{sample.prompt_index:02d}-s{sample.seed}.png"


def save_sample(folder: Path, step: int, sample: Sample, recipe: Recipe, **facts: str | int) -> Path:
    """Writes a PNG that says how it was made: a ``parameters`` text as other tools write, and ``rollout`` as JSON.

    It is written aside and renamed: who finds a picture finds a whole one.

    Raises:
        RunError: the disk does not take it.
    """
    path = sample_path(folder, step, sample)
    make_folder(path.parent)
    text = PngInfo()
    text.add_text("parameters", _parameters(sample, recipe, facts.get("model")))
    record = {"prompt": sample.prompt, "seed": sample.seed, "step": step, **asdict(recipe), **facts}
    text.add_text("rollout", json.dumps(record))
    write_whole(path, png(sample.picture, text), durable=True)
    return path


def _parameters(sample: Sample, recipe: Recipe, model: str | int | None) -> str:
    """The prompt, then what AUTOMATIC1111 and its readers look for: a line of names and values, none of them empty."""
    values = {
        "Steps": recipe.steps,
        "Sampler": sample.sampler,
        "CFG scale": recipe.guidance,
        "Seed": sample.seed,
        "Size": f"{recipe.size}x{recipe.size}",
        "Model": "" if model is None else model,
        "Version": f"rollout-workbench {__version__}",
    }
    told = {name: str(value) for name, value in values.items()}
    quoted = {name: json.dumps(value) if set(value) & set(',:"\n') else value for name, value in told.items()}
    return f"{sample.prompt}\n{', '.join(f'{name}: {value}' for name, value in quoted.items() if value)}"


def png(picture: Image.Image, text: PngInfo | None = None) -> bytes:
    """A picture as the bytes of a PNG file."""
    data = io.BytesIO()
    picture.save(data, format="PNG", pnginfo=text)
    return data.getvalue()
