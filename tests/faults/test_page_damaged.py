"""Every file and folder that the page reads is torn, foreign, of a wrong type, or no file at all: the page goes on.

Nothing raises, nothing waits, everything that is shown can be sent, and the other trainings are shown as before.
"""

import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from app.journals import Journals
from app.page import assemble
from app.workbench import Workbench
from core.runs.queue import enqueue
from core.runs.workspace import Workspace
from tests.support.damage import DAMAGES, damaged, fits, unprivileged
from tests.support.everything import look_everywhere, make_everything
from tests.support.typed_commands import Typed, typed  # noqa: F401  a fixture

PATIENCE = 120
RUN, ARM, PAIR = "runs/single", "experiments/orange-cat/rollout", "experiments/orange-cat"
OF_A_RUN = (
    "config.json", "run.json", "status.json", "metrics.jsonl", "drift.jsonl", "events.jsonl", "log.txt", "env.json",
    "cost.json", "facts.json", "samples", "samples/step-000030", "samples/step-000030/p00-s42.png", "checkpoints",
    "checkpoints/step-000030", "checkpoints/step-000030/state.json", "adapter",
    "adapter/pytorch_lora_weights.safetensors",
)  # fmt: skip
TARGETS = (
    *(f"{folder}/{name}" for folder in (RUN, ARM) for name in OF_A_RUN),
    f"{RUN}/process.json", f"{RUN}/exit.json", "runs/failed/process.json", "runs/failed/exit.json",
    "runs/failed/status.json", "runs/failed/log.txt", "runs/waiting/config.json", "runs/waiting/run.json",
    f"{RUN}/inspection", f"{RUN}/inspection/inspection.json", f"{RUN}/inspection/request.json",
    f"{RUN}/inspection/drift.jsonl", f"{RUN}/inspection/status.json", f"{RUN}/inspection/pictures",
    f"{RUN}/inspection/pictures/base-own-0-0.png", "inspections", "inspections/my-cat/inspection.json",
    f"{PAIR}/experiment.json", f"{PAIR}/votes.jsonl", f"{PAIR}/status.json", f"{PAIR}/events.jsonl",
    f"{PAIR}/process.json", f"{PAIR}/exit.json", f"{PAIR}/scoring", f"{PAIR}/scoring/status.json",
    f"{PAIR}/scoring/log.txt", RUN, ARM, PAIR, "presets", "presets/mine.toml", "measurements", "measurements/*.json",
    "measurements/*/status.json", ".training", ".training/current.json", ".training/lock", ".training/starting",
    ".training/queue.json", "reports", "reports/orange-cat/report.json", "datasets",
)  # fmt: skip
SHORT = 3
"""Cases of chance that ``make test`` looks at, beside the chosen ones."""
SEED = 20261123
CHOSEN = (
    (f"{RUN}/status.json", "pipe"), (f"{RUN}/run.json", "all wrong"), (f"{ARM}/drift.jsonl", "few wrong"),
    (RUN, "locked"), (RUN, "loop"), (".training/queue.json", "pipe"),
)  # fmt: skip


@contextmanager
def patience(what: str) -> Iterator[None]:
    """Fails what waits for something that never comes."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"{what}: still waiting after {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    made = make_everything(tmp_path_factory.mktemp("damaged") / "workspace")
    enqueue(made, "runs/waiting")  # a page that is served would begin with it
    return made


@pytest.fixture(scope="module")
def parts(workspace):
    """One page for all damages, as people have it open; what it drew of whole files is kept."""
    made = assemble(Workbench(workspace))[1]
    look_everywhere(made)
    return made


def place_of(workspace: Workspace, target: str) -> Path:
    (path,) = workspace.root.glob(target) if "*" in target else (workspace.root / target,)
    return path


def survive(parts, typed: Typed, workspace: Workspace, target: str, name: str, seed: int) -> None:  # noqa: F811
    """Looks at everything while one thing is damaged: the page that is open, and one that has just begun."""
    path = place_of(workspace, target)
    with patience(f"{target}, {name}"), damaged(path, name, seed), unprivileged():
        for fresh in (False, True):
            if fresh:
                parts.workbench.journals = Journals()
            told = look_everywhere(parts, ["runs/single" if target.startswith("runs") else PAIR])
            home = next(text for slot, text in told.items() if slot.endswith("home.list"))
            assert "healthy" in home, (target, name)
            lost = name == "missing" and target in (RUN, PAIR, f"{RUN}/config.json", f"{PAIR}/experiment.json")
            if target.startswith(RUN) and target != RUN and not lost:
                row = home.split("runs%2Fsingle")[1].split("</li>")[0]
                assert target != f"{RUN}/status.json" or name == "missing" or "rw-state-queued" not in row, name
        for words in (["status"], ["status", "--json"]):
            code, said, complained = typed(*words, "--workspace", str(workspace.root))
            assert code == 0, (target, name, complained)
            healthy = [line for line in said if "healthy" in line]
            assert len(healthy) == 1, (target, name)
            assert "done" in healthy[0], (target, name)


def cases(workspace: Workspace, target: str) -> list[str]:
    path = place_of(workspace, target)
    if not path.exists():
        pytest.skip(f"{target} is not made here")
    return [name for name in DAMAGES if fits(name, path)]


def some() -> list[tuple[str, str]]:
    """The chosen cases, and some of chance."""
    chance = random.Random(SEED)
    pairs = [(target, name) for target in TARGETS if not target.endswith("*") for name in DAMAGES]
    return [*CHOSEN, *chance.sample(pairs, SHORT)]


@pytest.mark.parametrize(("target", "name"), some())
def test_the_page_survives_a_damaged_file(parts, typed, workspace, target, name) -> None:  # noqa: F811
    path = place_of(workspace, target)
    if not (path.exists() and fits(name, path)):
        pytest.skip("there is no such file, or this damage does nothing to it")
    survive(parts, typed, workspace, target, name, SEED)


@pytest.mark.faults
@pytest.mark.parametrize("target", TARGETS)
def test_the_page_survives_every_damage_of_every_file(parts, typed, workspace, target) -> None:  # noqa: F811
    for name in cases(workspace, target):
        for seed in range(5 if name in ("few wrong", "flipped bytes", "truncated") else 1):
            survive(parts, typed, workspace, target, name, seed)


@pytest.mark.faults
@pytest.mark.parametrize("target", [*(f"{ARM}/{name}" for name in OF_A_RUN), f"{PAIR}/experiment.json"])
def test_a_report_is_written_of_what_is_left_or_says_what_is_missing(typed, workspace, target) -> None:  # noqa: F811
    for name in sorted({"missing", "few wrong", "pipe", "locked"} & set(cases(workspace, target))):
        with patience(f"{target}, {name}"), damaged(place_of(workspace, target), name, 1), unprivileged():
            code, said, complained = typed("report", "orange-cat", "--workspace", str(workspace.root))
        assert code in (0, 1), (target, name, complained)
        assert not any("Traceback" in line for line in [*said, *complained])
        assert code == 0 or len(complained) > 0
    shutil.rmtree(workspace.root / "reports", ignore_errors=True)
