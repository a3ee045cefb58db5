"""What can be seen of a finished run, for tests that compare two."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from safetensors.torch import load_file
from tiny_runs import ADAPTER

from core.runs import journal
from core.runs.folder import RunFolder


@dataclass(frozen=True)
class Seen:
    """What can be seen of a finished run."""

    folder: RunFolder
    class_folder: Path

    @property
    def adapter(self) -> dict[str, bytes]:
        tensors = load_file(self.folder.adapter_dir / ADAPTER)
        return {name: tensor.numpy().tobytes() for name, tensor in sorted(tensors.items())}

    @property
    def samples(self) -> dict[str, bytes]:
        root = self.folder.samples_dir
        return {str(path.relative_to(root)): Image.open(path).tobytes() for path in sorted(root.rglob("*.png"))}

    @property
    def checkpoints(self) -> list[str]:
        return sorted(path.name for path in self.folder.checkpoints_dir.iterdir())

    @property
    def drift(self) -> list[dict]:
        return [{**line, "seconds": 0} for line in journal.read_all(self.folder.drift_path)]

    @property
    def trackers(self) -> list[str]:
        return [path.name for path in self.folder.logs_dir.glob("*")]

    @property
    def class_pictures(self) -> int:
        return len(list(self.class_folder.rglob("*.png")))

    def __getattr__(self, name: str) -> list:
        return [line[name] for line in journal.read_all(self.folder.metrics_path)]


def value_of(run: Seen, what: str) -> Any:
    """An attribute; with ``_at_first`` its value at the first step."""
    if what.endswith("_at_first"):
        name = {"error": "loss_teacher_forced"}.get(what.removesuffix("_at_first"), what.removesuffix("_at_first"))
        return getattr(run, name)[0]
    return getattr(run, what)


def distance_from_start(run: Seen) -> float:
    """Norm of the B matrices, which begin at zero."""
    tensors = load_file(run.folder.adapter_dir / ADAPTER)
    return sum(tensor.norm().item() for name, tensor in tensors.items() if "lora_B" in name)
