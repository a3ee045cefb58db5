"""What a dry run found out about a training: how long its parts take, and how far its pictures lie apart.

A measurement is kept in the workspace under a key of what it depends on, so that the page, which loads no model, can
forecast with it. Options of the rollout are not among those: one measurement serves them all.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from core.config.paths import model_path, resolve_path
from core.config.run import RunConfig
from core.rollout.cost import Calibration
from core.runs.files import is_number, make_folder, read_object, to_json, write_whole
from core.runs.memory import Memory

FOLDER = "measurements"


@dataclass(frozen=True)
class Facts:
    """What the base model and the encoded pictures tell.

    Attributes:
        kind: What the network predicts.
        last: The noisiest timestep.
        grid: Timesteps of the sampler of the validation pictures, ascending.
        distance: D_min, the smallest distance between two distinct latents of one caption among the instance pictures;
            None where there are no two.
        level: sigma / alpha up to which anchored targets are safe: a quarter of it.
        level_timestep: The timestep at which the noise has reached that level.
    """

    kind: str
    last: int
    grid: tuple[float, ...]
    distance: float | None = None
    level: float | None = None
    level_timestep: float | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Facts":
        """Reads what ``asdict`` gave.

        Raises:
            ValueError: If something is missing or no number.
        """
        kind, grid = data.get("kind"), data.get("grid")
        if not isinstance(kind, str) or not isinstance(grid, list) or not all(is_number(point) for point in grid):
            raise ValueError("facts must hold kind and grid")
        numbers = {name: _optional(data, name) for name in ("distance", "level", "level_timestep")}
        return cls(kind=kind, last=int(_number(data, "last")), grid=tuple(map(float, grid)), **numbers)


@dataclass(frozen=True)
class Measurement:
    """Facts, and what the parts of a step take on this machine.

    Attributes:
        facts: Of base model and pictures.
        calibration: In seconds.
        device: Where it was measured.
        time: When, unix time.
        memory: What it takes, where it was told.
        free: Bytes that the device had free before, where memory was told.
    """

    facts: Facts
    calibration: Calibration
    device: str
    time: float = field(default_factory=time.time)
    memory: Memory | None = None
    free: int | None = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Measurement":
        """Reads what ``asdict`` gave.

        Raises:
            ValueError: If something is missing or no number.
        """
        facts, calibration = data.get("facts"), data.get("calibration")
        if not isinstance(facts, dict) or not isinstance(calibration, dict):
            raise ValueError("a measurement must hold facts and a calibration")
        memory, free = data.get("memory"), _optional(data, "free")
        return cls(
            Facts.from_dict(facts), calibration_from(calibration), str(data.get("device", "")), _number(data, "time"),
            Memory.from_dict(memory) if isinstance(memory, dict) else None, None if free is None else int(free),
        )  # fmt: skip


def calibration_from(data: Mapping[str, Any]) -> Calibration:
    """Reads what ``asdict`` gave.

    Raises:
        ValueError: If something is missing or no number.
    """
    return Calibration(**{each.name: _number(data, each.name) for each in fields(Calibration)})


def measurement_key(config: RunConfig) -> str:
    """A short name for everything that a measurement depends on: options, pictures and base model by size and time."""
    data, training = config.data, config.training
    facts = [
        config.model.model_dump(), data.instance_data_dir, data.instance_prompt, data.resolution, data.center_crop,
        data.random_flip, data.aspect_ratio_buckets, data.with_prior_preservation, training.train_batch_size,
        training.gradient_accumulation_steps, training.gradient_checkpointing,
        training.mixed_precision, training.optimizer, config.lora.model_dump(),
        config.validation.validation_num_inference_steps,
        *(_listing(resolve_path(data.instance_data_dir), pattern) for pattern in ("*", "*/*")),  # N_prompt folders too
        _base_listing(config),
    ]  # fmt: skip
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=10).hexdigest()


def measurement_path(root: Path, config: RunConfig) -> Path:
    """Where the workspace at ``root`` keeps the measurement for a config."""
    return root / FOLDER / f"{measurement_key(config)}.json"


def keep_measurement(root: Path, config: RunConfig, measurement: Measurement) -> Path:
    """Keeps it in the workspace.

    Raises:
        RunError: If it cannot be written.
    """
    path = measurement_path(root, config)
    make_folder(path.parent)
    write_whole(path, to_json(asdict(measurement), indent=2))
    return path


def find_measurement(root: Path, config: RunConfig) -> Measurement | None:
    """What was measured for such a training; None where nothing was, or what was cannot be read."""
    data = read_object(measurement_path(root, config))
    try:
        return None if data is None else Measurement.from_dict(data)
    except ValueError:
        return None


def latest_measurement(root: Path) -> Measurement | None:
    """The newest one in the workspace at ``root``, whatever it was for; None where there is none that can be read."""
    found = []
    for path in (root / FOLDER).glob("*.json"):
        data = read_object(path)
        with contextlib.suppress(ValueError):
            found += [] if data is None else [Measurement.from_dict(data)]
    return max(found, key=lambda measurement: measurement.time, default=None)


def _base_listing(config: RunConfig) -> list[list[Any]]:
    """The files of the base model: a single file lies in its folder beside others."""
    found = _listing(Path(model_path(config.model.described_by)), "*/*")
    if config.model.single_file_config is None:
        return found
    file = resolve_path(config.model.pretrained_model_name_or_path)
    return found + [each for each in _listing(file.parent, "*") if each[0] == file.name]


def _listing(folder: Path, pattern: str) -> list[list[Any]]:
    """Name, size and modification time of a folder's files; empty where there is no such folder."""
    found = []
    for path in sorted(folder.glob(pattern)) if folder.is_dir() else []:
        try:
            facts = path.stat()
        except OSError:
            continue
        if path.is_file():
            found.append([str(path.relative_to(folder)), facts.st_size, facts.st_mtime_ns])
    return found


def _number(data: Mapping[str, Any], name: str) -> float:
    value = data.get(name)
    if not is_number(value):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)


def _optional(data: Mapping[str, Any], name: str) -> float | None:
    return None if data.get(name) is None else _number(data, name)
