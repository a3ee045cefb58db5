"""A wall clock that jumps. A record that was written before a jump is one whose wall times lie that far beside now."""

import json
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from core.runs.clock import Moment, boot_id
from core.runs.escalation import request_stop, stop_progress
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, read_identity, send_signal
from core.runs.process import advance_stop, kill_run
from core.runs.records import Event, read_records
from core.runs.status import Status, derive_state, write_status

HOUR, DAY = 3600.0, 86400.0
JUMPS = (HOUR, -HOUR, DAY, -DAY)


@pytest.fixture
def child():
    """A process that lives as long as the test."""
    made = subprocess.Popen(["sleep", "300"], start_new_session=True)
    yield made
    made.kill()
    made.wait()


def training(identity: Identity, jump: float = 0.0) -> Status:
    """A training that said something a moment ago, before the clock jumped by so many seconds."""
    status = Status("training", 5, 10).by(identity).beaten()
    assert status.create_time is not None
    return replace(status, create_time=status.create_time - jump, heartbeat=status.heartbeat - jump)


def signals(run: RunFolder) -> list[str]:
    return [str(event.details["signal"]) for event in read_records(Event, run.events_path) if event.kind == "signal"]


@pytest.mark.parametrize("jump", JUMPS)
def test_an_age_does_not_follow_the_wall_clock(jump: float) -> None:
    now = Moment.now()
    assert now.steady is not None
    before = Moment(now.time - jump, now.steady - 12.0, now.boot)
    assert 12.0 <= before.age() < 12.0 + HOUR / 2


def test_without_a_steady_clock_the_wall_clock_counts_and_no_age_is_negative() -> None:
    assert Moment(time.time() - 90).age() == pytest.approx(90, abs=30)
    assert Moment(time.time() + DAY).age() == 0.0
    other = Moment(time.time() - 90, time.monotonic() + DAY, "another start of the machine")
    assert other.age() == pytest.approx(90, abs=30)
    assert Moment(time.time(), time.monotonic() + DAY, boot_id()).age() == 0.0


@pytest.mark.parametrize("jump", JUMPS)
def test_a_living_training_stays_alive_and_its_heartbeat_is_of_now(
    run: RunFolder, child: subprocess.Popen, jump: float
) -> None:
    write_status(run, training(Identity.of(child.pid), jump))
    state = derive_state(run)
    assert (state.label, state.live) == ("running", True)
    assert state.heartbeat_age is not None
    assert 0 <= state.heartbeat_age < HOUR / 2


@pytest.mark.parametrize("jump", JUMPS)
def test_a_dead_training_does_not_come_alive(run: RunFolder, child: subprocess.Popen, jump: float) -> None:
    """Its pid is borne by another process, which after the jump has the very create time that was noted."""
    bearer = Identity.of(child.pid)
    assert bearer.ticks is not None
    dead = replace(bearer, create_time=bearer.create_time - jump, ticks=bearer.ticks - round(jump * 100))
    write_status(run, replace(training(dead), create_time=bearer.create_time))
    assert derive_state(run).label == "lost"


@pytest.mark.parametrize("jump", JUMPS)
def test_a_jump_neither_hurries_nor_delays_a_signal(run: RunFolder, child: subprocess.Popen, jump: float) -> None:
    write_status(run, training(Identity.of(child.pid)))
    for elapsed, sent in ((100.0, []), (700.0, ["SIGINT"])):
        run.stop_path.unlink(missing_ok=True)
        request_stop(run, grace=600.0)
        facts = json.loads(run.stop_path.read_bytes())
        facts |= {"time": facts["time"] - jump, "steady": facts["steady"] - elapsed}
        run.stop_path.write_text(json.dumps(facts) + "\n")
        progress = stop_progress(run)
        assert progress is not None
        assert elapsed <= progress.asked < elapsed + 400
        advance_stop(run)
        assert signals(run) == sent


def test_a_stop_tells_how_far_it_is(run: RunFolder, child: subprocess.Popen) -> None:
    write_status(run, training(Identity.of(child.pid)))
    assert stop_progress(run) is None
    request_stop(run, grace=600.0)
    progress = stop_progress(run)
    assert progress is not None
    assert (progress.sent, progress.upcoming) == ((), "SIGINT")
    assert 0 < progress.upcoming_in <= 600
    assert progress.words.startswith("asked ")
    assert "; interrupt in " in progress.words
    assert progress.words.endswith("if it does not save")
    for name in ("SIGINT", "SIGTERM", "SIGKILL"):
        with run.stop_path.open("a") as file:
            file.write(json.dumps({"sent": name, **Moment.now().facts()}) + "\n")
        progress = stop_progress(run)
        assert progress is not None
        assert progress.sent[-1] == name
    assert (progress.upcoming, progress.upcoming_in) == (None, 0.0)
    assert "waiting for the system to end it" in progress.words


@pytest.mark.parametrize("data", [b"", b"\x00\n", b'{"time": null}\n', b'{"grace": NaN, "time": Infinity}\n'])
def test_a_request_without_a_time_gets_its_grace_from_when_it_is_seen(
    run: RunFolder, child: subprocess.Popen, data: bytes
) -> None:
    write_status(run, training(Identity.of(child.pid)))
    run.stop_path.write_bytes(data)
    assert stop_progress(run) is not None
    assert [advance_stop(run).label for _ in range(3)] == ["stopping"] * 3
    assert signals(run) == []
    progress = stop_progress(run)
    assert progress is not None
    assert progress.upcoming == "SIGINT"


def test_a_pid_of_another_process_is_not_the_run_s_and_gets_no_signal(run: RunFolder, child: subprocess.Popen) -> None:
    bearer = Identity.of(child.pid)
    assert bearer.ticks is not None
    for doctored in (
        replace(bearer, ticks=bearer.ticks - 1),  # its create time is right to the digit
        replace(bearer, boot="another start of the machine"),
        replace(bearer, create_time=bearer.create_time - 60, ticks=None, boot=None),  # of an older version
    ):
        run.process_path.write_text(json.dumps(doctored.facts()))
        assert read_identity(run.process_path) == doctored
        write_status(run, replace(training(doctored), boot=doctored.boot))
        run.stop_path.write_text(json.dumps({"time": 0.0, "grace": 0.0}) + "\n")
        assert not doctored.alive()
        assert not send_signal(doctored, signal.SIGTERM)
        assert [advance_stop(run).label for _ in range(4)] == ["stopped"] * 4
        assert kill_run(run).label == "stopped"
        run.stop_path.unlink()
        assert derive_state(run).label == "lost"
    assert child.poll() is None
    assert signals(run) == []


def test_a_process_is_known_by_its_ticks_though_its_create_time_has_moved(child: subprocess.Popen) -> None:
    known = Identity.of(child.pid)
    assert replace(known, create_time=known.create_time + DAY).alive()
    assert not replace(known, create_time=known.create_time + DAY, ticks=None, boot=None).alive()
    child.kill()
    child.wait()
    assert not known.alive()


def test_a_process_name_with_brackets_and_spaces_is_read_past(tmp_path: Path) -> None:
    program = tmp_path / "a) Z (b"
    program.symlink_to("/bin/sleep")
    made = subprocess.Popen([str(program), "300"])
    try:
        known = Identity.of(made.pid)
        assert known.ticks is not None
        assert known.alive()
    finally:
        made.kill()
        made.wait()
