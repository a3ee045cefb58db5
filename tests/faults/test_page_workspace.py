"""The workspace goes away, becomes read-only, fills up or has an odd name while the page is open."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from app.datasets import keep_upload
from app.page import assemble
from app.tabs import compare_export, compare_vote
from app.votes import compared_arms, pairs_of
from app.workbench import Workbench
from core.config.presets import load_preset
from core.errors import WorkbenchError
from core.runs.experiment import find_experiment
from core.runs.folder import RunFolder
from core.runs.process import request_stop
from core.runs.workspace import Workspace
from tests.support.damage import unprivileged
from tests.support.everything import look_everywhere, make_everything, review

PAIR = ["experiments/orange-cat"]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    return assemble(Workbench(Workspace(tmp_path_factory.mktemp("page"))))[1]


@pytest.fixture
def open_at(shown):
    """``open_at(root)``: a workspace with one of everything there, and a page over it."""

    def go(root: Path):
        shown.workbench = Workbench(make_everything(root))
        return shown

    return go


def tree(root: Path) -> dict[str, bytes | None]:
    """Every file of a workspace, locks and the page's own cache left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not name.startswith((".training/", "cache/")):
            found[name] = path.read_bytes() if path.is_file() else None
    return found


def test_a_workspace_that_vanishes_is_told_and_shown_again_when_it_is_back(open_at, tmp_path) -> None:
    root, away = tmp_path / "workspace", tmp_path / "away"
    parts = open_at(root)
    before = look_everywhere(parts, PAIR)
    root.rename(away)
    told = look_everywhere(parts, PAIR)
    assert "No trainings yet" in told["experiments/orange-cat home.list"]
    assert f"{root} must be there, got nothing at that place" in told["launch"]
    with pytest.raises(WorkbenchError):
        parts.workbench.start(load_preset("demo").config, "single", "Lost")
    assert not root.exists(), "an empty workspace was made in the place of the one that is gone"
    away.rename(root)
    after = look_everywhere(parts, PAIR)
    assert "Orange cat" in after["experiments/orange-cat home.list"]
    for slot in ("monitor.status", "compare.verdict", "compare.scores"):
        assert after[f"experiments/orange-cat {slot}"] == before[f"experiments/orange-cat {slot}"]


@contextmanager
def read_only(root: Path) -> Iterator[None]:
    """Takes every right to write away while inside, from root too."""
    paths = [root, *root.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        with unprivileged():
            yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextmanager
def no_room() -> Iterator[None]:
    """No file may grow while inside: the first byte fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def writes(parts, picture: Path) -> dict[str, str]:
    """Everything that the page writes, and the sentence that each was answered with."""
    bench, demo = parts.workbench, load_preset("demo").config
    experiment = find_experiment(bench.workspace, "orange-cat")
    assert compared_arms(experiment) is not None
    told = {}

    def note(name: str, act) -> None:
        try:
            told[name] = str(act())
        except WorkbenchError as error:
            told[name] = str(error)

    token = bench.ballots.hand_out(pairs_of(experiment)[0])
    note("vote", lambda: compare_vote.cast_vote(parts, PAIR, token, "left"))
    note("start", lambda: bench.start(demo, "single", "Full"))
    note("start of a comparison", lambda: bench.start(demo, "ab", "Full"))
    note("preset", lambda: bench.keep_preset("Another", demo))
    note("upload", lambda: keep_upload(bench.workspace.datasets_dir, "cats", [picture]))
    note("stop", lambda: request_stop(RunFolder(bench.workspace.runs_dir / "waiting")))
    note("measurement", lambda: bench.measure(demo))
    note("sheet", lambda: compare_export.make_sheet(parts, PAIR))
    note("report", lambda: compare_export.make_report(parts, PAIR))
    note("resume", lambda: bench.resume("runs/failed"))
    return told


OF_THE_LAST_LIFE = {"runs/failed/exit.json", "runs/failed/process.json"}
"""A resume forgets them first; what the run's status says stays."""
REFUSES = ("must be writable", "must be in a folder that can be written", "must take a whole line")


@pytest.mark.parametrize("way", [no_room, pytest.param(read_only, marks=pytest.mark.faults)])
def test_what_cannot_be_written_is_told_in_a_sentence_and_nothing_is_half_made(open_at, tmp_path, way) -> None:
    root, picture = tmp_path / "workspace", tmp_path / "cat.png"
    Image.new("RGB", (64, 64), "orange").save(picture)
    parts = open_at(root)
    look_everywhere(parts, PAIR)
    before = tree(root)
    with way(root) if way is read_only else way():
        told = writes(parts, picture)
        look_everywhere(parts, PAIR)
    stopped = told.pop("stop")
    assert way is no_room or any(words in stopped for words in REFUSES)  # an empty control file is a request too
    (root / "runs" / "waiting" / "stop").unlink(missing_ok=True)
    for name, text in told.items():
        assert any(words in text for words in REFUSES), (name, text)
        assert str(root) in text, (name, text)
    after = tree(root)
    assert after.keys() - before.keys() == set()
    assert before.keys() - after.keys() <= OF_THE_LAST_LIFE
    assert {name for name in after if before[name] != after[name]} == set()
    assert parts.workbench.entry("runs/failed").label == "failed"
    assert parts.workbench.keep_preset("Afterwards", load_preset("demo").config)


NAMES = ["-rf *", "my work space", "Arbeit\nzwei", "工作区 – ñandú", "a'b\"c", "b%20c&d<e>"]


@pytest.mark.parametrize("name", ["".join(NAMES), *(pytest.param(name, marks=pytest.mark.faults) for name in NAMES)])
def test_a_workspace_may_be_called_anything(open_at, tmp_path, name) -> None:
    parts = open_at(tmp_path / name)
    told = look_everywhere(parts, PAIR)
    assert "Orange cat" in told["experiments/orange-cat home.list"]
    assert "rw-verdict" in told["experiments/orange-cat compare.verdict"]
    assert "can be written" in review(parts)


@pytest.mark.faults
def test_a_workspace_may_be_a_link(shown, tmp_path) -> None:
    make_everything(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    shown.workbench = Workbench(Workspace(tmp_path / "link"))
    told = look_everywhere(shown, PAIR)
    assert "Orange cat" in told["experiments/orange-cat home.list"]
    assert not any("must lie in the workspace" in text for text in told.values())
    assert os.path.islink(tmp_path / "link")
