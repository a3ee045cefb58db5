"""What an inspection found out about a run, a LoRA file or a base model: ``inspection.json``. Imports no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from core.errors import RunError
from core.models.lora_audit import Audit
from core.runs import fields
from core.runs.drift import DriftRecord
from core.runs.files import parse_object, read_bounded, to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.records import read_records

FILE_NAME = "inspection.json"
LIMIT = 1 << 24

What = Literal["run", "file", "base"]
"""A run with its adapter, a LoRA file, or a base model alone."""
Which = Literal["base", "adapter"]
PathName = Literal["teacher-forced", "own"]


@dataclass(frozen=True)
class Strip:
    """A film strip: what the model sees along one path of one pair, in the order of sampling: noisy end first.

    Attributes:
        which: ``base`` (LoRA off) or ``adapter``.
        path: ``teacher-forced``, or ``own``: from the same noise, carried by the model itself.
        pair: Which pair, from 0.
        timesteps: Of the pictures; 0 would be clean. The next three have a value each.
        pictures: Of the clean estimates D, relative to the inspection's folder.
        distance: Rms per element from D on the teacher-forced path of the same model and pair, in latent units; 0 on
            that path itself.
        v: V of the pair's state there, ln(mean x² / (alpha² m2 + sigma²)), in nats.
    """

    which: Which
    path: PathName
    pair: int
    timesteps: tuple[float, ...]
    pictures: tuple[str, ...]
    distance: tuple[float, ...]
    v: tuple[float, ...]

    @classmethod
    def from_dict(cls, data: Any) -> "Strip":
        """Reads what ``asdict`` gave; pictures that do not lie in the inspection's pictures are left out.

        Raises:
            ValueError: If it is no strip.
        """
        if not isinstance(data, dict) or data.get("which") not in get_args(Which):
            raise ValueError("a strip must be of base or adapter")
        if data.get("path") not in get_args(PathName):
            raise ValueError("a strip must be of a teacher-forced or an own path")
        names = data.get("pictures")
        pictures = tuple(str(name) for name in names) if isinstance(names, list) else ()
        numbers = {name: fields.numbers(data, name) for name in ("timesteps", "distance", "v")}
        if any(len(values) != len(pictures) for values in numbers.values()) or not all(map(_is_picture, pictures)):
            raise ValueError("a strip must have a timestep, a distance and a V for each of its pictures")
        which, path = cast("Which", data["which"]), cast("PathName", data["path"])
        return cls(which, path, fields.count(data, "pair"), pictures=pictures, **numbers)


@dataclass(frozen=True)
class Inspection:
    """A finished inspection.

    Attributes:
        folder: Where it lies.
        what: A run, a file or a base.
        target: The run's name, the file's path, or ``base``.
        created: When it was finished, unix time.
        base_model: As the option names it.
        adapter: Path of the LoRA; None for a base model alone.
        facts: Kind, grid, pairs, samples, seeds, m2, and the like.
        audit: Of the LoRA; None for a base model alone.
        problems: Keys that do not fit the base model: nothing was measured then.
        notes: What else people should know, a sentence each.
        clean: Pictures of the pairs themselves, relative to the folder.
        strips: Film strips.
    """

    folder: RunFolder
    what: What
    target: str
    created: float
    base_model: str
    adapter: str | None
    facts: Mapping[str, Any]
    audit: Audit | None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    strips: tuple[Strip, ...] = ()

    def records(self) -> tuple[DriftRecord, ...]:
        """Of the base model, and of the adapter where there is one; empty where nothing was measured."""
        return tuple(read_records(DriftRecord, self.folder.drift_path))

    def to_dict(self) -> dict[str, Any]:
        """What ``inspection.json`` holds."""
        own = {name: getattr(self, name) for name in ("what", "target", "created", "base_model", "adapter", "facts")}
        listed = {name: list(getattr(self, name)) for name in ("problems", "notes", "clean")}
        audit = None if self.audit is None else asdict(self.audit)
        return {**own, "audit": audit, **listed, "strips": [asdict(strip) for strip in self.strips]}


def pictures_dir(folder: RunFolder) -> Path:
    """An inspection's pictures."""
    return folder.path / "pictures"


def finish_inspection(found: Inspection, records: tuple[DriftRecord, ...]) -> None:
    """Writes the records, then ``inspection.json``.

    Raises:
        RunError: If they cannot be written.
    """
    lines = "".join(to_json(record.to_dict()) + "\n" for record in records)
    write_whole(found.folder.drift_path, lines)
    write_whole(found.folder.path / FILE_NAME, to_json(found.to_dict(), indent=1), durable=True)


def read_inspection(folder: RunFolder) -> Inspection:
    """A finished inspection.

    Raises:
        RunError: If it is not finished, or its file is torn or no inspection's.
    """
    path = folder.path / FILE_NAME
    data = read_bounded(path, LIMIT)
    if data is None:
        raise RunError(f"{folder.path} must be a finished inspection, got one without {FILE_NAME}")
    facts = parse_object(data)
    if facts is None:
        raise RunError(f"{path} must be a JSON object, got something else; inspect again")
    try:
        return _inspection(folder, facts)
    except ValueError as error:
        raise RunError(f"{path} must be an inspection, got an error: {error}; inspect again") from error


def _inspection(folder: RunFolder, data: Mapping[str, Any]) -> Inspection:
    audit, strips, facts, adapter = (data.get(name) for name in ("audit", "strips", "facts", "adapter"))
    if data.get("what") not in get_args(What):
        raise ValueError("it must be of a run, a file or a base")
    listed = {name: data.get(name, []) for name in ("problems", "notes", "clean")}
    lists = all(isinstance(value, list) for value in listed.values())
    if not (lists and isinstance(strips, list) and isinstance(facts, dict)):
        raise ValueError("it must have facts and lists")
    names = {name: tuple(map(str, value)) for name, value in listed.items()}
    if not all(map(_is_picture, names["clean"])):
        raise ValueError("its pictures must lie in its folder")
    return Inspection(
        folder=folder, what=cast("What", data["what"]), target=str(data.get("target")),
        created=fields.number(data, "created", 0.0), base_model=str(data.get("base_model")),
        adapter=adapter if isinstance(adapter, str) else None, facts=facts,
        audit=Audit.from_dict(audit) if isinstance(audit, dict) else None,
        strips=tuple(map(Strip.from_dict, strips)), **names,
    )  # fmt: skip


def _is_picture(name: str) -> bool:
    """Whether it is the plain name of a picture in ``pictures/``: a file of ours never leads elsewhere."""
    folder, _, rest = name.partition("/")
    return folder == "pictures" and rest.endswith(".png") and "/" not in rest and "\\" not in rest
