import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.config.paths import PROJECT_ROOT
from core.errors import RunError
from core.runs.journal import Tail, append, read_all, truncate_after

WRITE_MANY = """
import sys
from pathlib import Path
from core.runs.journal import append
for number in range(100):
    append(Path(sys.argv[1]), {"writer": sys.argv[2], "number": number, "ballast": "x" * 9000})
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_records_come_back_in_their_order(path: Path) -> None:
    for step in range(3):
        append(path, {"step": step, "text": "é\n"})
    assert read_all(path) == [{"step": step, "text": "é\n"} for step in range(3)]


def test_a_missing_journal_is_empty(path: Path) -> None:
    tail = Tail(path)
    assert (tail.read(), tail.bad_lines, tail.torn) == ([], 0, False)


def test_a_tail_gives_each_record_once(path: Path) -> None:
    tail = Tail(path)
    append(path, {"step": 1})
    assert tail.read() == [{"step": 1}]
    assert tail.read() == []
    append(path, {"step": 2})
    append(path, {"step": 3})
    assert tail.read() == [{"step": 2}, {"step": 3}]
    assert not tail.restarted


def test_a_line_that_is_still_being_written_waits_for_its_end(path: Path) -> None:
    tail = Tail(path)
    path.write_bytes(b'{"step": 1}\n{"ste')
    assert tail.read() == [{"step": 1}]
    assert tail.torn
    assert tail.bad_lines == 0
    with path.open("ab") as file:
        file.write(b'p": 2}\n')
    assert tail.read() == [{"step": 2}]
    assert not tail.torn


def test_a_torn_line_costs_itself_and_not_the_record_after_it(path: Path) -> None:
    path.write_bytes(b'{"step": 1}\n{"step": 2, "lo')
    append(path, {"step": 3})
    tail = Tail(path)
    assert tail.read() == [{"step": 1}, {"step": 3}]
    assert tail.bad_lines == 1


@pytest.mark.parametrize("garbage", [b"\xff\xfe\x00", b"42", b"[1]", b"{", b"[" * 100_000, b'{"a": 1} {"b": 2}'])
def test_garbage_lines_are_counted_and_passed_over(path: Path, garbage: bytes) -> None:
    path.write_bytes(b'{"step": 1}\n' + garbage + b'\n\n{"step": 2}\n')
    tail = Tail(path)
    assert [record["step"] for record in tail.read()] == [1, 2]
    assert tail.bad_lines == 1


def test_numbers_of_other_libraries_and_numbers_that_are_not_finite_stay_readable(path: Path) -> None:
    append(path, {"loss": np.float32(0.5), "m1": np.array([1.0, math.nan]), "v": math.inf, "items": np.int64(4)})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "loss": 0.5,
        "m1": [1.0, None],
        "v": None,
        "items": 4,
    }


def test_lines_of_several_processes_never_mix(path: Path) -> None:
    command = [sys.executable, "-c", WRITE_MANY, str(path)]
    writers = [subprocess.Popen([*command, name], cwd=PROJECT_ROOT) for name in ("a", "b")]
    assert [writer.wait(timeout=20) for writer in writers] == [0, 0]
    tail = Tail(path)
    records = tail.read()
    assert tail.bad_lines == 0
    for name in ("a", "b"):
        assert [record["number"] for record in records if record["writer"] == name] == list(range(100))


def test_a_journal_that_was_cut_is_read_anew(path: Path) -> None:
    tail = Tail(path)
    for step in range(1, 6):
        append(path, {"step": step})
    tail.read()
    assert truncate_after(path, 2) == 3
    append(path, {"step": 3, "again": True})
    assert [record["step"] for record in tail.read()] == [1, 2, 3]
    assert tail.restarted
    assert tail.read() == []
    assert not tail.restarted


def test_a_journal_that_grew_past_the_old_end_after_a_cut_is_read_anew(path: Path) -> None:
    tail = Tail(path)
    for step in range(1, 4):
        append(path, {"step": step, "life": 1})
    tail.read()
    truncate_after(path, 1)
    for step in range(2, 10):
        append(path, {"step": step, "life": 2})
    assert [(record["step"], record["life"]) for record in tail.read()] == [
        (1, 1),
        *((step, 2) for step in range(2, 10)),
    ]
    assert tail.restarted


def test_a_journal_that_vanished_is_read_anew(path: Path) -> None:
    tail = Tail(path)
    append(path, {"step": 1})
    tail.read()
    path.unlink()
    assert tail.read() == []
    assert tail.restarted


def test_truncation_keeps_records_up_to_the_step_and_those_without_one(path: Path) -> None:
    path.write_bytes(b'{"step": 1}\n{"kind": "start"}\nrubbish\n{"step": 5}\n{"step": 6}\n{"st')
    assert truncate_after(path, 5) == 3
    assert path.read_bytes() == b'{"step": 1}\n{"kind": "start"}\n{"step": 5}\n'


def test_truncation_of_a_missing_journal_makes_none(path: Path) -> None:
    assert truncate_after(path, 5) == 0
    assert not path.exists()


def test_a_full_disk_is_told_with_what_to_do() -> None:
    with pytest.raises(RunError, match=r"/dev/full must be writable.*no space.*free some space"):
        append(Path("/dev/full"), {"step": 1})


def test_a_journal_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/metrics\.jsonl must be writable.*a part of that path is a file"):
        append(tmp_path / "file" / "metrics.jsonl", {"step": 1})
