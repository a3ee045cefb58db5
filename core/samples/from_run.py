"""Pictures from a finished run: its base model, its adapter, its sampling options."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from core.config.paths import model_path
from core.errors import RunError
from core.models import FAMILIES
from core.runs.folder import RunFolder
from core.samples.generate import Recipe, generate, save_sample


def draw(folder: RunFolder, prompts: Sequence[str], seeds: Sequence[int], out: Path) -> Iterator[Path]:
    """Draws every prompt with every seed and yields each picture's path.

    Raises:
        RunError: the run has no final adapter.
    """
    if not (folder.adapter_dir / "pytorch_lora_weights.safetensors").is_file():
        raise RunError(f"{folder.name} must be a finished run with an adapter; train or resume it first")
    config = folder.config()
    model = config.model
    family = (
        FAMILIES[model.family]
        .resolve()
        .load(model_path(model.pretrained_model_name_or_path), revision=model.revision, variant=model.variant)
    )
    family.pipeline.load_lora_weights(folder.adapter_dir)
    validation = config.validation
    recipe = Recipe(
        validation.validation_num_inference_steps, validation.validation_guidance_scale, config.data.resolution
    )
    for sample in generate(family.pipeline, prompts, seeds, recipe, on_step=lambda: None):
        yield save_sample(out, config.training.max_train_steps, sample, recipe, run=folder.name)
