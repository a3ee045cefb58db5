"""What a training does for its folder beside the steps: tidies up, asks for room, flags samples that show nothing."""

from pathlib import Path

from core.runs import journal
from core.runs.alarms import SAMPLE_KIND
from core.runs.folder import RunFolder
from core.runs.records import Event, StepRecord, read_records, record_event
from core.runs.room import require_room
from core.samples.blank import blank, blank_text
from core.samples.generate import Sample
from core.training.build import Parts
from core.training.checkpoints import checkpoint_bytes, list_checkpoints, tidy_checkpoints

_TRAINERS_OWN = ("status.json", "env.json", "metrics.jsonl", "drift.jsonl")
"""Files that nobody but the training process replaces while it holds the workspace's lock."""


def tidy(folder: RunFolder, keep: int | None) -> None:
    """Removes what a process that was killed left half written, and checkpoints beyond the newest ``keep``.

    Raises:
        RunError: an old checkpoint cannot be removed.
    """
    tidy_checkpoints(folder.checkpoints_dir, keep)
    for name in _TRAINERS_OWN:
        for path in folder.path.glob(f".{name}-*"):
            path.unlink(missing_ok=True)
    for path in folder.samples_dir.glob("step-*/.*.png-*"):
        path.unlink(missing_ok=True)


def cut_back(folder: RunFolder, step: int) -> int:
    """Cuts off what the journals hold of later steps than ``step``.

    Returns:
        How many optimizer steps are taken again because of that.

    Raises:
        RunError: a journal cannot be rewritten.
    """
    known = read_records(StepRecord, folder.metrics_path)
    for path in (folder.metrics_path, folder.drift_path):
        journal.truncate_after(path, step)
    return max((record.step - step for record in known[-1:]), default=0)


def require_room_to_train(folder: RunFolder, parts: Parts, step: int) -> None:
    """Passes where the disk takes the checkpoints that are still to come and stay, and the final adapter.

    Raises:
        RunError: it does not; names what is needed and what is free.
    """
    training = parts.config.training
    network = parts.accelerator.unwrap_model(parts.network)
    every = training.checkpointing_steps if training.checkpointing_steps > 0 else training.max_train_steps
    coming = -(-(training.max_train_steps - step) // every)  # rounded up: the last step saves one too
    if training.checkpoints_total_limit is not None:
        there = len(list_checkpoints(folder.checkpoints_dir))
        room = max(training.checkpoints_total_limit - there, 0) + 1  # an old one goes once the new one is whole
        coming = min(coming, room)
    size = checkpoint_bytes(network, training.optimizer, parts.conditions.encoders)
    require_room(folder.path, coming * size + size // 3, f"{coming} checkpoints and the adapter")


def flag_blank(folder: RunFolder, step: int, sample: Sample, path: Path) -> None:
    """Says, once a picture, that a sample is black or flat.

    Raises:
        RunError: the events cannot be written.
    """
    found = blank(sample.picture)
    if found is None:
        return
    text = blank_text(found, step, path.name)
    print(f"sample alarm: {text}", flush=True)
    if all(event.text != text for event in read_records(Event, folder.events_path)):
        record_event(folder.events_path, SAMPLE_KIND, text, step=step, sample=path.name, shows=found)
