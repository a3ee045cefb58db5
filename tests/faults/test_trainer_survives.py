"""The short form of the faults: two kills and a full disk befall one run, which ends as if nothing had been."""

import resource

from real_trainings import Life, Place, finish
from survival import VALUES, check_equal, check_readable, killed_in

from core.runs.status import derive_state, read_status
from core.training.checkpoints import list_checkpoints

SHORT = {"max_train_steps": 20, "validation_steps": 10, "num_validation_images": 1}
WORKING = ("caching", "training")
"""Phases in which the base model's other parts have been put aside: their file is larger than any of a checkpoint."""
BELOW_OPTIMIZER = 60_000
"""Bytes: the adapter's file is smaller, the optimizer's is larger."""


def test_two_kills_and_a_full_disk_lose_no_bit(tmp_path):
    place = Place(tmp_path)
    other = place.run("undisturbed", **VALUES | SHORT)
    finish(other)
    folder = place.run("disturbed", **VALUES | SHORT)

    for aim in ("deleting a checkpoint", "saving a checkpoint"):
        kill = killed_in(folder, aim)
        assert (kill.code, kill.place) == (-9, aim)

    before = [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)]
    life = Life(folder, "resume", piped=True)
    assert life.catch(lambda: read_status(folder).pid == life.process.pid and read_status(folder).phase in WORKING)
    life.limit(resource.RLIMIT_FSIZE, BELOW_OPTIMIZER)
    life.thaw()
    said = life.words()
    assert life.process.returncode == 1
    assert said[-2].startswith(f"error: {folder.checkpoints_dir}/step-0000")
    assert "must be writable, got an error: file too large; raise the limit on the size of files" in said[-2]
    state = derive_state(folder)
    assert (state.label, state.message) == ("failed", said[-2].removeprefix("error: "))
    assert "disk space" in str(state.hint)
    check_readable(folder)
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == before

    finish(folder, "resume")
    check_equal(folder, other)
