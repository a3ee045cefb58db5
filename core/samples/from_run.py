"""Pictures from a finished run: its base model, its adapter, its sampling options."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from core.config.paths import base_label
from core.runs.folder import RunFolder
from core.samples.generate import Recipe, generate, save_sample
from core.samples.load import load_finished


def draw(folder: RunFolder, prompts: Sequence[str], seeds: Sequence[int], out: Path) -> Iterator[Path]:
    """Draws every prompt with every seed and yields each picture's path.

    Raises:
        RunError: the run has no final adapter.
    """
    family, config = load_finished(folder, out), folder.config()  # the run may lie where nothing can be written
    validation = config.validation
    recipe = Recipe(
        validation.validation_num_inference_steps, validation.validation_guidance_scale, config.data.resolution
    )
    model = base_label(config.model.pretrained_model_name_or_path)
    for sample in generate(family, prompts, seeds, recipe, on_step=lambda: None):
        yield save_sample(out, config.training.max_train_steps, sample, recipe, run=folder.name, model=model)
