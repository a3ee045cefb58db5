import pickle
from pathlib import Path

import pytest

from core.errors import ConfigError, DataError, Problem, RunError, WorkbenchError, reason_of, unreadable

FIRST = Problem("rank", "rank must be at least 1, got 0")
SECOND = Problem("seed", "seed must be at least 0, got -1")


@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_all_problems_are_told_a_line_each(kind):
    error = kind([FIRST, SECOND])
    assert error.problems == (FIRST, SECOND)
    assert str(error).splitlines() == [FIRST.message, SECOND.message]


def test_the_same_problem_is_told_once():
    assert ConfigError([FIRST, SECOND, FIRST]).problems == (FIRST, SECOND)


def test_an_error_without_a_problem_cannot_be_raised():
    with pytest.raises(ValueError, match="at least one problem"):
        ConfigError([])


def test_a_problem_reads_as_its_sentence():
    assert str(FIRST) == "rank must be at least 1, got 0"


def test_every_deliberate_error_is_caught_as_one_kind():
    assert all(issubclass(kind, WorkbenchError) for kind in (ConfigError, DataError, RunError))
    assert not issubclass(DataError, ConfigError)


@pytest.mark.parametrize("kind", [ConfigError, DataError])
def test_problems_survive_a_process_boundary(kind):
    again = pickle.loads(pickle.dumps(kind([FIRST, SECOND])))
    assert type(again) is kind
    assert again.problems == (FIRST, SECOND)


def test_the_reason_of_a_file_error_reads_inside_a_sentence():
    with pytest.raises(OSError) as caught:
        Path("/does/not/exist").read_text()
    assert reason_of(caught.value) == "no such file or directory"


def test_an_unreadable_file_is_named():
    problem = unreadable("a.png", Path("pictures/a.png"), PermissionError(13, "Permission denied"))
    assert problem == Problem("a.png", "pictures/a.png must be a readable file, got an error: permission denied")
