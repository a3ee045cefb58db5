"""What must hold of a run that was killed or ran out of disk: all of it readable, and equal bits in the end."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from real_trainings import ASIDES, DRAWN, ROLLOUT, Life, halting
from safetensors.torch import load_file
from tiny_runs import ADAPTER, same_bits

from app.cards import alarm_notes, status_cards
from app.samples import samples_of
from app.selection import Selection
from app.workbench import RESUMABLE, Workbench
from core.runs import journal
from core.runs.folder import RunFolder
from core.runs.status import derive_state, read_status
from core.runs.workspace import Workspace
from core.samples.found import find_samples
from core.training.checkpoints import list_checkpoints

EVERY = 5
ANY = "any moment"
LATE = ("saving", "saving the adapter", "saving a checkpoint", "deleting a checkpoint", "renamed")
"""What comes at the very end, if it does not come before."""
TIMED = ("seconds", "elapsed", "memory_mb")
VALUES = {
    **ROLLOUT,
    **DRAWN,
    "max_train_steps": 60,
    "checkpointing_steps": EVERY,
    "checkpoints_total_limit": 2,
    "validation_steps": 15,
    "lora_dropout": 0.2,
    "gradient_accumulation_steps": 2,
}


@dataclass(frozen=True)
class Kill:
    """One SIGKILL that befell a running trainer.

    Attributes:
        aim: what it was meant for; "any moment" was drawn.
        place: what the process was doing.
        code: return code of the process.
        lost: optimizer steps that had been taken since the newest whole checkpoint.
    """

    aim: str
    place: str
    code: int
    lost: int


def untimed(path: Path) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in TIMED} for row in journal.read_all(path)]


def check_equal(folder: RunFolder, other: RunFolder) -> None:
    """Adapter, optimizer, journals and pictures have equal bits but for times; nothing half written is left."""
    assert derive_state(folder).label == "done"
    assert same_bits(load_file(folder.adapter_dir / ADAPTER), load_file(other.adapter_dir / ADAPTER))
    kept, expected = (list_checkpoints(each.checkpoints_dir) for each in (folder, other))
    assert [checkpoint.step for checkpoint in kept] == [checkpoint.step for checkpoint in expected]
    for mine, theirs in zip(kept, expected, strict=True):
        for name in ("adapter.safetensors", "optimizer.safetensors"):
            assert same_bits(load_file(mine.path / name), load_file(theirs.path / name))
        assert (mine.path / "state.json").read_bytes() == (theirs.path / "state.json").read_bytes()
    assert untimed(folder.metrics_path) == untimed(other.metrics_path)
    assert untimed(folder.drift_path) == untimed(other.drift_path)
    drawn, meant = find_samples(folder.samples_dir), find_samples(other.samples_dir)
    assert drawn.keys() == meant.keys()
    for spot, path in drawn.items():
        assert Image.open(path).tobytes() == Image.open(meant[spot]).tobytes()
    assert [str(found) for pattern in ASIDES.values() for found in folder.path.glob(pattern)] == []


def check_readable(folder: RunFolder) -> None:
    """Every file that the page reads can be read, whatever the kill has left; the page offers to resume."""
    for path in folder.path.glob("*.json"):
        assert isinstance(json.loads(path.read_text()), dict), path
    for path in folder.path.glob("*.jsonl"):
        tail = journal.Tail(path)
        tail.read()
        assert tail.bad_lines == 0, path
    for path in find_samples(folder.samples_dir).values():
        Image.open(path).load()
    for checkpoint in list_checkpoints(folder.checkpoints_dir):
        for name in ("adapter.safetensors", "optimizer.safetensors"):
            assert load_file(checkpoint.path / name)
    workbench = Workbench(Workspace(folder.path.parents[1]))
    entry = workbench.entry(str(Selection("runs", folder.name)))
    assert entry is not None
    assert entry.label in RESUMABLE or read_status(folder).phase == "queued"
    assert folder.name in status_cards(workbench, entry)
    alarm_notes(workbench.journals, entry.arms)
    samples_of(folder)


def condition_of(life: Life, aim: str, chance: random.Random) -> Callable[[], bool]:
    """Asks whether the moment has come that is aimed at."""
    folder = life.folder
    known = {checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)}
    lines, reached = len(journal.read_all(folder.metrics_path)), read_status(folder).step
    more = chance.randrange(1, 3 * EVERY)

    def phase() -> bool:
        status = read_status(folder)
        far = aim != "training" or status.step >= min(reached + more, folder.config().training.max_train_steps - 1)
        return status.pid == life.process.pid and status.phase == aim and far

    if aim in ASIDES:
        return lambda: any(folder.path.glob(ASIDES[aim]))
    if aim == "renamed":
        return lambda: any(found.step not in known for found in list_checkpoints(folder.checkpoints_dir))
    if aim == "appended":  # a resumed life takes some of the lines away before it adds to them
        return lambda: life.where() == "training" and len(journal.read_all(folder.metrics_path)) >= lines + more
    return phase


def caught(life: Life, aim: str, chance: random.Random, whole: float) -> str | None:
    """Freezes a life where it is aimed at, or, where that does not come, shortly before its end.

    Returns:
        What it does there, None where it came to its end before.
    """
    if aim == ANY:
        return life.where() if life.catch_at(chance.uniform(0.0, whole)) else None
    aimed = condition_of(life, aim, chance)

    def last() -> bool:
        status = read_status(life.folder)
        late = aim not in LATE and status.step > status.total - 3 > 0
        return late and status.pid == life.process.pid and status.phase == "training"

    return life.where() if life.catch(lambda: aimed() or last()) else None


def lost_steps(folder: RunFolder) -> int:
    """Steps that the newest whole checkpoint does not hold."""
    steps = [row["step"] for row in journal.read_all(folder.metrics_path)]
    checkpoints = list_checkpoints(folder.checkpoints_dir)
    return (steps[-1] if steps else 0) - (checkpoints[-1].step if checkpoints else 0)


def next_verb(folder: RunFolder) -> str:
    """What starts the next life of a run."""
    fresh = not folder.status_path.exists() and not list_checkpoints(folder.checkpoints_dir)
    return "run" if fresh else "resume"


def killed(folder: RunFolder, aim: str, chance: random.Random, whole: float) -> Kill | None:
    """One life of a run, killed; None where it was done before it could be."""
    life = Life(folder, next_verb(folder))
    try:
        doing = caught(life, aim, chance, whole)
        if doing is None or read_status(folder).final:
            life.thaw()
            assert life.wait() == 0, folder.log_path.read_text()
            return None
        return killed_at(life, aim, doing)
    finally:
        life.end()


def killed_in(folder: RunFolder, aim: str) -> Kill:
    """One life of a run, killed in the midst of one of ``HALTS``."""
    life = Life(folder, next_verb(folder), **halting(aim))
    try:
        life.wait_halted()
        return killed_at(life, aim, life.where())
    finally:
        life.end()


def killed_at(life: Life, aim: str, doing: str) -> Kill:
    """Kills a frozen life, and checks what it leaves."""
    code = life.kill()
    check_readable(life.folder)
    assert derive_state(life.folder).label in ("lost", "queued")
    lost = lost_steps(life.folder)
    assert 0 <= lost <= EVERY
    return Kill(aim, doing, code, lost)
