"""Short trainings of one family, and what is done with them afterwards: what comes out, a line of JSON a case.

usage: second_device.py second_device_cases.py BASE FOLDER, or without its first word to be held against that.
"""

import json
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from exports import Silent
from several_processes import IN_PROPORTION
from tiny_checkpoint import save_checkpoint
from tiny_families import save_flux, save_sd3, save_sdxl
from tiny_runs import ADAPTER, ROLLOUT, SIDE, alone, resume_from_the_middle, run, save_mask, save_picture, tiny_config

from core.errors import WorkbenchError
from core.evaluation.inspection import inspect, run_target
from core.evaluation.sweep import Bases, carry_out, plan_work, subject_for
from core.export.export import export_run
from core.export.formats import FORMATS, format_problem
from core.models.device import accelerator
from core.runs.folder import RunFolder
from core.runs.inspections import begin_inspection
from core.runs.workspace import Workspace
from core.samples.from_run import draw
from core.training.class_images import draw_class_images
from core.training.forecasting import measure_here
from core.training.report import Report

BASES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "epsilon": ("stable_diffusion", lambda folder: save_checkpoint(folder, "epsilon")),
    "v_prediction": ("stable_diffusion", lambda folder: save_checkpoint(folder, "v_prediction")),
    "flow_matching": ("stable_diffusion", lambda folder: save_checkpoint(folder, "flow_matching")),
    "sdxl": ("sdxl", save_sdxl),
    "sd3": ("sd3", save_sd3),
    "sd3 without T5": ("sd3", lambda folder: save_sd3(folder, with_t5=False)),
    "flux": ("flux", save_flux),
}
"""Family and tiny base model."""
MEASURED = {
    "validation_prompts": ("a sks cat",), "num_validation_images": 2, "validation_guidance_scale": 2.0,
    "validation_steps": 2, "drift_pairs": 2, "drift_samples": 2, "max_train_steps": 2,
    **IN_PROPORTION,  # steps as small as differences are
}  # fmt: skip
PRIOR = {"with_prior_preservation": True, "class_prompt": "a cat", "num_class_images": 2}
CASES = {
    "plain": {},
    "fresh": {**ROLLOUT, **PRIOR, "caption_dropout": 0.2},
    "visited": {
        **ROLLOUT, "scheduled_sampling_mode": "visited", "gradient_checkpointing": True,
        "gradient_accumulation_steps": 2,
    },
    "euler": {**ROLLOUT, "scheduled_sampling_sampler": "euler"},
    "dpm": {**ROLLOUT, "scheduled_sampling_sampler": "dpm"},
    "rk4": {**ROLLOUT, "scheduled_sampling_sampler": "rk4"},
    "posterior": {**ROLLOUT, "scheduled_sampling_target": "posterior"},
    "text encoders": {**ROLLOUT, "train_text_encoder": True},
    "bf16": {**ROLLOUT, "mixed_precision": "bf16"},
    "masks": {**ROLLOUT, "masked_loss": True},  # in buckets
    "resumed": {**ROLLOUT, "max_train_steps": 3, "checkpointing_steps": 1},
}  # fmt: skip
SOME = {
    "reflexflow": {**ROLLOUT, "scheduled_sampling_reflexflow": True},
    "guided": {**ROLLOUT, "scheduled_sampling_guidance_scale": 2.0},
}
"""What only flow matching has, and what FLUX has not."""
CARRIED_ON = ("plain", "text encoders", "bf16")
"""Trainings that are drawn with, exported, inspected and scored."""


def cases_of(base: str) -> dict[str, dict]:
    """Options by case."""
    left_out = {"reflexflow"} if base in ("epsilon", "v_prediction", "sdxl") else set()
    left_out |= {"guided"} if base == "flux" else set()
    return CASES | {name: options for name, options in SOME.items() if name not in left_out}


class Cases:
    """The trainings of one base model in one workspace; each result is written down at once.

    Attributes:
        whole: whether they are gone on with; else they are trained alone.
    """

    def __init__(self, base: str, folder: Path, *, whole: bool) -> None:
        self.base, self.whole, self.folder, self.workspace = base, whole, folder, Workspace(folder / "workspace")
        self.family, save = BASES[base]
        self.path = save(folder / "base")
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        for seed, size in enumerate([(SIDE, SIDE), (SIDE, SIDE), (40, SIDE)]):
            save_picture(self.pictures / f"{seed}.png", seed, size)
            save_mask(self.pictures / f"{seed}-masklabel.png", size)

    def config(self, options: dict):
        side = SIDE if self.family == "stable_diffusion" else 2 * SIDE
        sizes = f"{side},{side};{side},{3 * side // 2}"
        shape = {"resolution": side, "aspect_ratio_buckets": sizes if "masked_loss" in options else None}
        return tiny_config({}, self.pictures, self.path, **{"family": self.family, **shape, **MEASURED, **options})

    def all(self) -> None:
        """Trains every case and does what is done with a run."""
        for name, options in cases_of(self.base).items():
            folder = RunFolder.create(self.workspace.runs_dir, name.replace(" ", "-"), self.config(options))
            with self.told(name, str(folder.adapter_dir / ADAPTER)):
                run(folder)
                if name == "resumed":
                    resume_from_the_middle(folder)
            if name in CARRIED_ON and folder.adapter_dir.exists() and self.whole:
                self.carry_on(name, folder)
        if self.whole:
            self.jobs()

    def carry_on(self, name: str, folder: RunFolder) -> None:
        """Picture, exports, inspection and scores of a finished run."""
        with self.told(f"{name}, drawn"):
            list(draw(folder, ["a cat"], [1], self.folder / "drawn"))
        for form in FORMATS:
            if format_problem(form, self.family) is None:
                with self.told(f"{name}, exported as {form}"):
                    export_run(folder, form, self.folder / "exports" / f"{name} {form}", "lora", Silent())
        with self.told(f"{name}, inspected"):
            out = RunFolder(self.workspace.root / "inspections" / folder.name)
            out.path.mkdir(parents=True)
            begin_inspection(out, "run", folder.name)
            inspect(run_target(folder, folder.name), out, Silent(), pairs=1, samples=2)
        with self.told(f"{name}, scored"):
            work = plan_work(folder, steps=(2,), guidance=(2.0,), samples=3)
            list(carry_out(work, Bases(), subject_for(folder, None), lambda: None))

    def jobs(self) -> None:
        """What runs without a run."""
        with self.told("forecast"):
            measured = measure_here(self.config({**ROLLOUT, **PRIOR}), self.workspace)
            assert torch.device(measured.device).type == accelerator().type
        with self.told("class pictures"):
            told = Report(RunFolder(self.workspace.root), None)
            draw_class_images(self.config({**PRIOR, "class_prompt": "a dog"}), self.workspace, told)

    @contextmanager
    def told(self, case: str, adapter: str | None = None) -> Iterator[None]:
        """Writes down how it ended: everything that torch raises is a finding."""
        error = None
        try:
            with alone():
                yield
        except (RuntimeError, WorkbenchError):
            error = traceback.format_exc()
        with open(self.folder / "results.jsonl", "a", encoding="utf-8") as results:
            results.write(json.dumps({"case": case, "error": error, "adapter": adapter}) + "\n")


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    Cases(sys.argv[1], Path(sys.argv[2]), whole=accelerator().type != "cpu").all()
