"""Class pictures for prior preservation, drawn once by the base model and kept in the workspace."""

import hashlib
import json
from pathlib import Path

from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.data.dreambooth import Item, scan_folder
from core.models.family import Family
from core.runs.files import make_folder, write_whole
from core.samples.generate import Recipe, generate, png
from core.training.report import Report
from core.training.streams import key


def class_items(config: RunConfig, family: Family, folder: Path, report: Report) -> list[Item]:
    """``num_class_images`` pictures of the class: the user's first, then ones that the base model draws.

    Drawn pictures depend on model, prompt, seed and sampling alone, so all arms of an experiment share them. A picture
    that is already there is not drawn again.

    Args:
        config: of the run.
        family: the base model, without an adapter.
        folder: the workspace's folder for class pictures.
        report: progress and stop.

    Raises:
        RunError: the disk does not take a drawn picture.
    """
    data = config.data
    prompt = str(data.class_prompt)
    own: list[Item] = []
    if data.class_data_dir is not None:
        found = scan_folder(resolve_path(data.class_data_dir), prompt, "class_data_dir", masked=data.masked_loss)
        own = list(found.items)[: data.num_class_images]
    missing = data.num_class_images - len(own)
    if missing == 0:
        return own
    recipe = Recipe(
        config.validation.validation_num_inference_steps, config.validation.validation_guidance_scale, data.resolution
    )
    drawn = folder / _name(config, family, recipe)
    seeds = [key(config.training.seed, "class_image", index) for index in range(missing)]
    absent = [seed for seed in seeds if not (drawn / f"{seed}.png").is_file()]
    if absent:
        make_folder(drawn)
        report.phase("class_images", "drawing class pictures with the base model", len(absent), "picture")
        samples = generate(family, [prompt], absent, recipe, on_step=report.check)
        for done, sample in enumerate(samples):
            write_whole(drawn / f"{sample.seed}.png", png(sample.picture), durable=True)
            report.progress(done + 1, len(absent))
    size = data.resolution
    return own + [Item(drawn / f"{seed}.png", f"{seed}.png", prompt, "class prompt", size, size) for seed in seeds]


def _name(config: RunConfig, family: Family, recipe: Recipe) -> str:
    facts = [family.kind, _fingerprint(family), config.data.class_prompt, recipe.steps, recipe.guidance, recipe.size]
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()


def _fingerprint(family: Family) -> list[float]:
    """Tells base models apart by their weights: a path can hold another model tomorrow."""
    return [parameter.detach().float().norm().item() for parameter in family.network.parameters()]
