"""A disk that takes no more: the run fails with one sentence, keeps what it has, and resumes to equal bits."""

import re
import resource
import sys
from collections.abc import Callable

import pytest
from disks import fill, small_disk
from real_trainings import ASIDES, Life, Place, finish
from survival import VALUES, check_equal, check_readable
from tiny_runs import ADAPTER

from core.runs.folder import RunFolder
from core.runs.launch import launch, record_end
from core.runs.status import derive_state, read_status
from core.training.checkpoints import list_checkpoints

pytestmark = pytest.mark.faults
SHORT = {"max_train_steps": 30, "validation_steps": 15}
BELOW_OPTIMIZER = (
    60_000  # bytes: the optimizer's file of a checkpoint is larger, the adapter's and the journals are not
)
BELOW_ADAPTER = 20_000
BELOW_PICTURE = 900  # bytes: the status is smaller
BELOW_STATUS = 100
TOO_LARGE = "must be writable, got an error: file too large; raise the limit on the size of files (ulimit -f)"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def undisturbed(place) -> RunFolder:
    folder = place.run("undisturbed", **VALUES | SHORT)
    finish(folder)
    return folder


def said_when_limited(life: Life, moment: Callable[[], object], limit: Callable[[], int]) -> str:
    """Catches a life at a moment, from which on no file may grow beyond a size; the sentence with which it ends."""
    try:
        assert life.catch(moment)
        life.limit(resource.RLIMIT_FSIZE, limit())
        life.thaw()
        said = life.words()
    finally:
        life.end()
    assert life.process.returncode == 1
    assert not any("Traceback" in line for line in said)
    (sentence,) = [line for line in said if line.startswith("error: ")]
    return sentence.removeprefix("error: ")


def in_phase(life: Life, phase: str, step: int = 0) -> bool:
    status = read_status(life.folder)
    return status.pid == life.process.pid and status.phase == phase and status.step >= step


def test_no_room_at_status_sample_journal_checkpoint_and_adapter_one_after_the_other(place, undisturbed):
    """One run meets them all, is resumed after each, and ends with equal bits."""
    folder = place.run("limited", **VALUES | SHORT)

    life = Life(folder, "run", piped=True)
    said = said_when_limited(life, lambda: in_phase(life, "loading"), lambda: BELOW_STATUS)
    assert TOO_LARGE in said
    assert derive_state(folder).label == "lost"  # its last word did not fit either
    check_readable(folder)

    life = Life(folder, "run", piped=True)
    said = said_when_limited(life, lambda: in_phase(life, "sampling"), lambda: BELOW_PICTURE)
    assert said.startswith(f"{folder.samples_dir}/step-000000/p00-s42.png {TOO_LARGE}")
    check_failed(folder, said)

    life = Life(folder, "run", piped=True)
    torn = 100
    said = said_when_limited(
        life, lambda: in_phase(life, "training", 7), lambda: folder.metrics_path.stat().st_size + torn
    )
    assert said == f"{folder.metrics_path} must take a whole line, got a part of it only; free some space on that disk"
    check_failed(folder, said)
    assert list_checkpoints(folder.checkpoints_dir)[-1].step == 5

    life = Life(folder, "resume", piped=True)
    said = said_when_limited(life, lambda: in_phase(life, "training", 12), lambda: BELOW_OPTIMIZER)
    assert said.startswith(f"{folder.checkpoints_dir}/step-000015 {TOO_LARGE}")
    check_failed(folder, said)
    assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == [5, 10]

    life = Life(folder, "resume", piped=True)
    final = folder.adapter_dir / ADAPTER
    said = said_when_limited(life, lambda: in_phase(life, "saving") and not final.exists(), lambda: BELOW_ADAPTER)
    assert said.startswith(f"{folder.adapter_dir} {TOO_LARGE}")
    check_failed(folder, said)
    assert not folder.adapter_dir.exists()

    finish(folder, "resume")
    check_equal(folder, undisturbed)


def check_failed(folder: RunFolder, sentence: str) -> None:
    state = derive_state(folder)
    assert (state.label, state.message) == ("failed", sentence)
    assert state.hint == "free some disk space, then resume the run"
    check_readable(folder)


def test_a_disk_that_fills_up_while_a_checkpoint_is_written_and_while_steps_are_taken(tmp_path, place, undisturbed):
    with small_disk(tmp_path / "disk", 40) as disk:
        folder = Place(place.folder, disk).run("filled", **VALUES | SHORT)
        for step, verb in ((7, "run"), (17, "resume")):
            life = Life(folder, verb, piped=True)

            def moment(life: Life = life, step: int = step) -> bool:
                late = in_phase(life, "training", step)
                return late and (
                    any(folder.path.glob(ASIDES["saving a checkpoint"])) or in_phase(life, "training", step + 5)
                )

            try:
                assert life.catch(moment)
                before = [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)]
                filler = fill(disk)
                life.thaw()
                said = life.words()
            finally:
                life.end()
            assert life.process.returncode == 1
            (sentence,) = [line for line in said if line.startswith("error: ")]
            assert str(folder.path) in sentence
            assert "free some space on that disk" in sentence
            assert [checkpoint.step for checkpoint in list_checkpoints(folder.checkpoints_dir)] == before
            assert derive_state(folder).label in ("failed", "lost")
            check_readable(folder)
            filler.unlink()
        finish(folder, "resume")
        check_equal(folder, undisturbed)


def test_too_little_room_is_told_before_the_first_step_with_what_is_needed_and_what_is_free(tmp_path, place):
    with small_disk(tmp_path / "disk", 17) as disk:  # enough for what is put aside before
        folder = Place(place.folder, disk).run("small", **VALUES | {"rank": 16})
        life = Life(folder, "run", piped=True)
        said = life.words()
        assert life.process.returncode == 1
        (sentence,) = [line for line in said if line.startswith("error: ")]
        rule = f"error: the disk of {re.escape(str(folder.path))} must have (?:1[89]|2\\d)\\.\\d MiB free "
        rule += r"for 3 checkpoints and the adapter, got 1[67]\.\d MiB; free some space on that disk"
        assert re.fullmatch(rule, sentence)
        assert not folder.metrics_path.exists()
        assert derive_state(folder).hint == "free some disk space, then resume the run"


def test_the_launcher_tells_what_a_run_could_not_write_itself(place):
    folder = place.run("launched", **VALUES | SHORT)
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300)); "
        f"sys.argv = ['core', 'run', {str(folder.path)!r}]; runpy.run_module('core', run_name='__main__')"
    )
    child = launch(folder, [sys.executable, "-c", code])
    record_end(folder, child)
    state = derive_state(folder)
    assert state.label == "failed"
    assert "ended with exit code 1" in state.message
    assert "status.json must be writable, got an error: file too large" in state.message
