"""Fabricated exports: the files that an export leaves, without a model."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from core.models.lora_path import DIFFUSERS_FILE
from core.runs.exported import FILE_NAME, Agreement, Exported, export_name, export_path
from core.runs.files import to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.swap import zipped
from core.runs.workspace import Workspace

MEASURED = (Agreement("network", 0.5, 2e-6, 1.0, 1e-3, holds=True), Agreement("picture", 0.2, 3e-5, 1.0, 1e-2, True))


class Silent:
    """A reporter that nobody listens to."""

    def phase(self, *said, **more) -> None:
        pass

    def progress(self, done: int, total: int) -> None:
        pass

    def check(self) -> None:
        pass


def give_adapter(run: RunFolder) -> None:
    """The smallest file that looks like a run's LoRA."""
    run.adapter_dir.mkdir(exist_ok=True)
    save_file({"unet.a": np.zeros(1, np.float32)}, run.adapter_dir / DIFFUSERS_FILE)


def exported(workspace: Workspace, run: RunFolder, format: str = "kohya", *, packed: bool = True) -> Path:
    """A finished export of a run, in the workspace."""
    identifier = workspace.identifier(run)
    folder, name = export_path(workspace, identifier, format), export_name(identifier)
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# a card")
    (folder / "mine.safetensors").write_bytes(b"x" * 2048)
    found = Exported(run.name, name, format, 1.7e9, {"mine.safetensors": 2048, "README.md": 8}, MEASURED)
    write_whole(folder / FILE_NAME, to_json(found.to_dict()))
    if packed:
        zipped(folder)
    return folder
