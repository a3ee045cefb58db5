"""Exports: where they lie, what each is, and the process that makes one. Imports no torch.

An export is a folder that is handed on as it is: weights, ``README.md``, pictures, and ``export.json``, which says what
was measured. What the process that makes it writes, ``status.json`` and ``log.txt``, lies in the run folder.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.runs import fields
from core.runs.background import start_in_background
from core.runs.files import is_missing, make_folder, read_object
from core.runs.folder import RunFolder
from core.runs.lock import starting
from core.runs.process import GRACE_SECONDS, followed_state, stop_run
from core.runs.status import State
from core.runs.workspace import Workspace

FILE_NAME = "export.json"
KIND = "rollout export"
PAIRED = "--"
"""Between an experiment and its arm in an export's name: no name of either holds two dashes."""
WORDS = {"network": "the network's output", "picture": "the picture"}


@dataclass(frozen=True)
class Agreement:
    """How an export compares with the run's own adapter.

    Attributes:
        what: ``network`` or ``picture``.
        change: Rms difference between adapter and base model.
        deviation: Rms difference between export and adapter, over ``change``; None where the adapter changes nothing.
        amount: Rms difference between export and base model, over ``change``; 1 is the same amount.
        tolerance: Largest ``deviation`` that passes.
        holds: Whether it passed.
    """

    what: str
    change: float
    deviation: float | None
    amount: float | None
    tolerance: float
    holds: bool

    @property
    def text(self) -> str:
        """In words."""
        name = WORDS.get(self.what, self.what)
        if self.deviation is None or self.amount is None:
            return f"{name} is not changed by the adapter, {'nor by' if self.holds else 'but by'} the export"
        return (
            f"{name} deviates by {self.deviation:.1e} of the adapter's change (tolerance {self.tolerance:g}), "
            f"and changes by {self.amount:.4f} of its amount"
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Agreement":
        """Reads what ``asdict`` gave."""
        return cls(
            what=str(data.get("what")),
            change=fields.number(data, "change", 0.0),
            deviation=fields.optional(data, "deviation"),
            amount=fields.optional(data, "amount"),
            tolerance=fields.number(data, "tolerance", 0.0),
            holds=data.get("holds") is True,
        )


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        run: Name of the run.
        name: Of the export.
        format: One of ``core.export.formats.FORMATS``.
        created: When it was made, unix time.
        files: Bytes by name within the folder.
        measured: What was held against the run's adapter.
    """

    run: str
    name: str
    format: str
    created: float
    files: Mapping[str, int]
    measured: tuple[Agreement, ...]

    def to_dict(self) -> dict[str, Any]:
        """What ``export.json`` holds."""
        return {"kind": KIND, **asdict(self)}


def read_exported(folder: Path) -> Exported | None:
    """The export in a folder; None where there is none that can be read."""
    data = read_object(folder / FILE_NAME)
    if data is None or data.get("kind") != KIND:
        return None
    files, measured = data.get("files"), data.get("measured")
    sizes = {name: size for name, size in files.items() if isinstance(size, int)} if isinstance(files, dict) else {}
    rows = [row for row in measured if isinstance(row, dict)] if isinstance(measured, list) else []
    return Exported(
        run=str(data.get("run")), name=str(data.get("name")), format=str(data.get("format")),
        created=fields.number(data, "created", 0.0), files=sizes, measured=tuple(map(Agreement.from_dict, rows)),
    )  # fmt: skip


def exports_dir(workspace: Workspace) -> Path:
    """Where exports lie that were given no other place."""
    return workspace.root / "exports"


def export_name(identifier: str) -> str:
    """What a run's exports are called.

    >>> export_name("demo-ab/rollout")
    'demo-ab--rollout'
    """
    return identifier.replace("/", PAIRED)


def export_path(workspace: Workspace, identifier: str, format: str) -> Path:
    """The folder of a run's export in the workspace, there or not."""
    return exports_dir(workspace) / f"{export_name(identifier)}-{format}"


def export_folder(run: RunFolder, format: str) -> RunFolder:
    """Status, log and control files of the process that exports a run, there or not."""
    return RunFolder(run.path / "exporting" / format)


def start_export(
    workspace: Workspace, run: RunFolder, format: str, *, command: Sequence[str] | None = None
) -> RunFolder:
    """Starts ``python -m core export`` in the background.

    Args:
        workspace: In which nothing else may be in progress.
        run: A finished run.
        format: Of the export.
        command: Another program.

    Returns:
        The folder of its status; poll ``export_state``.

    Raises:
        RunError: If something is in progress, or something cannot be written or started.
    """
    folder = export_folder(run, format)
    with starting(workspace.root):
        make_folder(folder.path)
        folder.log_path.unlink(missing_ok=True)  # an older error must not be taken for this one's
        argv = [sys.executable, "-m", "core", "export", str(run.path), "--format", format, "--zip"]
        argv += ["--workspace", str(workspace.root)]
        start_in_background(workspace.root, "an export", folder, argv if command is None else command)
    return folder


def export_state(folder: RunFolder) -> State | None:
    """What may be believed of an export's process; sends the signal that is due after a stop request.

    None where none was ever started.
    """
    if is_missing(folder.status_path):
        return None
    return followed_state(folder)


def stop_export(folder: RunFolder, grace: float = GRACE_SECONDS) -> State:
    """Asks an export to stop; nothing of it is left then. Poll ``export_state`` until it is final.

    Raises:
        RunError: If the control file cannot be written.
    """
    return stop_run(folder, grace)
