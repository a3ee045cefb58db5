"""What shows how far a training has come: pictures of fixed seeds, and the drift probe. The weights stay."""

import time
from dataclasses import replace

from core.config.paths import base_label
from core.noise.denoiser import evaluation_mode
from core.runs import journal
from core.runs.alarms import record_alarms
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.records import read_records
from core.samples.generate import Recipe, generate, save_sample
from core.training.build import Parts
from core.training.probe import probe
from core.training.report import Report
from core.training.tracking import scalars
from core.training.upkeep import flag_blank


def is_probed(parts: Parts) -> bool:
    """Whether drift is measured at all."""
    validation = parts.config.validation
    return validation.drift_pairs > 0 or validation.drift_samples > 0


def was_validated(parts: Parts, folder: RunFolder, step: int) -> bool:
    """Whether an earlier life drew and probed at a step; the probe comes last."""
    if is_probed(parts):
        return any(line.get("step") == step for line in journal.read_all(folder.drift_path))
    validation = parts.config.validation
    drawn = list((folder.samples_dir / f"step-{step:06d}").glob("*.png"))
    return len(drawn) >= len(validation.validation_prompts) * validation.num_validation_images


def validate(parts: Parts, folder: RunFolder, step: int, report: Report) -> None:
    """Draws the validation pictures and runs the drift probe.

    Raises:
        Stopped: somebody asked the run to stop.
        RunError: the disk does not take what was found.
    """
    draw(parts, folder, step, report)
    if is_probed(parts):
        _probe(parts, folder, step, report)


def draw(parts: Parts, folder: RunFolder, step: int, report: Report) -> None:
    """Draws the validation pictures.

    Raises:
        Stopped: somebody asked the run to stop.
        RunError: the disk does not take a picture.
    """
    config, prompts = parts.config, parts.config.validation.validation_prompts
    if not prompts:
        return
    count = config.validation.num_validation_images
    seeds = [config.validation.validation_seed + index for index in range(count)]
    recipe = Recipe(
        config.validation.validation_num_inference_steps, config.validation.validation_guidance_scale,
        config.data.resolution,
    )  # fmt: skip
    total, model = len(prompts) * count, base_label(config.model.pretrained_model_name_or_path)
    report.phase("sampling", f"drawing pictures at step {step}", total, "picture")
    with evaluation_mode(parts.family.network):
        samples = generate(parts.family, prompts, seeds, recipe, on_step=report.check)
        for done, sample in enumerate(samples):
            path = save_sample(folder.samples_dir, step, sample, recipe, run=folder.name, model=model)
            flag_blank(folder, step, sample, path)
            report.progress(done + 1, total)


def _probe(parts: Parts, folder: RunFolder, step: int, report: Report) -> None:
    """The cheap subset of the drift metrics, and the alarms that they give cause for."""
    began = time.perf_counter()
    report.phase("sampling", f"measuring drift at step {step}")
    with evaluation_mode(parts.family.network):
        found = probe(parts, report.check)
    record = replace(found, step=step, seconds=time.perf_counter() - began)
    journal.append(folder.drift_path, record.to_dict())
    parts.accelerator.log(scalars("drift", record.to_dict()), step=step)
    if step == 0:  # the adapter begins as zero: this is the base model itself
        journal.append(folder.drift_path, replace(record, base=True).to_dict())
    warn(folder, step)


def warn(folder: RunFolder, step: int) -> None:
    """Notes the drift alarms that a step gives cause for, and says them in the log."""
    records = read_records(DriftRecord, folder.drift_path)
    for alarm in record_alarms(folder, records, step):
        print(f"drift alarm: {alarm.text}", flush=True)
