"""The results table: its cells, that a cut costs one of them, and that the page says what the scores say."""

import re
import subprocess
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image

from assets.results.matrix import ARMS, ASKED_FOR, BASES, KEPT, REFERENCE, cells
from assets.results.table import BEGIN, END, MISSING, render, sheet, table
from assets.results.work import Work, fill, train
from core.config.presets import load_preset, resolve_config
from core.errors import RunError
from core.runs.files import to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.status import Status, write_status

FIRST = next(cells())


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path / "work", steps=400)


@pytest.fixture
def root(tmp_path):
    """A project folder with a results page."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "assets" / "pictures").mkdir(parents=True)
    (tmp_path / "docs" / "results.md").write_text(f"# Title\n\n{BEGIN}\nold\n{END}\n\nWhat it means.\n")
    return tmp_path


def score(cell, v=-0.1, **scores):
    values = {"v": v, "g2": -0.002, "high": 0.95, "nn": 0.45, "diversity": 0.8, "border": 0.0213}
    return {
        "base": cell.base, "arm": cell.arm.name, "seed": cell.seed, "steps": 400,
        "training": {"seconds": 61.7, "rollout_forwards_per_item": 1.36, "peak_memory_mib": 700.0},
        "scores": {**values, "samples": 24, "pairs": 32, **scores},
        "machine": {"cores": 2, "processor": "x86_64", "threads": 1, "versions": {"Python": "3.11", "torch": "2"}},
    }  # fmt: skip


def cell_of(base, arm, seed):
    return next(cell for cell in cells() if (cell.base, cell.arm.name, cell.seed) == (base, arm, seed))


def scores_of(*found):
    return {(one["base"], one["arm"], one["seed"]): one for one in found}


def put(work, one):
    path = work.score_path(cell_of(one["base"], one["arm"], one["seed"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, to_json(one))


def entries(text, label):
    """A row of a table, by heading."""
    heads, row = (
        [entry.strip() for entry in line.strip("|").split("|")]
        for line in (text.splitlines()[0], next(line for line in text.splitlines() if line.startswith(f"| {label} |")))
    )
    return dict(zip(heads, row, strict=True))


def label_of(name):
    return next(arm.label for arm in ARMS if arm.name == name)


def test_every_arm_is_trained_on_both_bases_with_three_seeds_and_reflexflow_on_the_flow_base_only():
    found = [(cell.base, cell.arm.name, cell.seed) for cell in cells()]
    assert len(found) == len(set(found)) == 3 * (2 * 6 + 1)
    assert {base for base, arm, _ in found if arm == "reflexflow-k3"} == {"embedded-flow"}
    for arm in (REFERENCE, "anchored-k1", "anchored-k3", "posterior-k3", "original-k3", "visited-k3"):
        assert {(base, seed) for base, name, seed in found if name == arm} == {
            (base, seed) for base in BASES for seed in (0, 1, 2)
        }


def test_a_cut_leaves_a_balanced_table():
    order = list(cells())
    assert [cell.seed for cell in order] == sorted(cell.seed for cell in order)
    assert [(cell.base, cell.arm.name) for cell in order[:2]] == [(base, REFERENCE) for base in BASES]


def test_a_single_base_and_other_seeds_can_be_asked_for():
    found = list(cells((5,), ("embedded",)))
    assert {(cell.base, cell.seed) for cell in found} == {("embedded", 5)}
    assert len(found) == 6


@pytest.mark.parametrize(
    ("arm", "longest", "mode", "target", "reflexflow"),
    [
        (REFERENCE, 0, "fresh", "anchored", False),
        ("anchored-k1", 1, "fresh", "anchored", False),
        ("anchored-k3", 3, "fresh", "anchored", False),
        ("posterior-k3", 3, "fresh", "posterior", False),
        ("original-k3", 3, "fresh", "original", False),
        ("visited-k3", 3, "visited", "anchored", False),
        ("reflexflow-k3", 3, "fresh", "anchored", True),
    ],
)
def test_an_arm_is_what_its_label_says(arm, longest, mode, target, reflexflow):
    config = cell_of("embedded-flow", arm, 1).config(77)
    rollout = config.scheduled_sampling
    assert (rollout.max_step_offset, rollout.mode, rollout.target) == (longest, mode, target)
    assert (rollout.stride, rollout.highest_probability, rollout.reflexflow) == ("inference", 1.0, reflexflow)
    assert (config.training.seed, config.training.max_train_steps) == (1, 77)
    assert config.reflexflow_on is reflexflow


def test_arms_differ_in_rollout_options_only():
    for base in BASES:
        configs = [cell.config(400) for cell in cells((0,), (base,))]
        assert len({str(config.scheduled_sampling) for config in configs}) == len(configs)
        assert len({str(config.model_copy(update={"scheduled_sampling": None})) for config in configs}) == 1


@pytest.mark.parametrize("preset", BASES.values())
def test_another_background_can_be_asked_for_in_the_words_of_the_preset(preset):
    assert load_preset(preset).config.data.instance_prompt.count("white background") == 1


def test_a_cell_with_scores_is_not_trained_again(work):
    trained, wanted = [], list(cells((0,)))
    put(work, score(wanted[1]))

    def cut(cell, _work):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(cell)

    with pytest.raises(KeyboardInterrupt):
        fill(wanted, work, cut, lambda cell, _work: score(cell), lambda line: None)
    assert trained == [wanted[0], *wanted[2:4]]
    rest = []
    failed = fill(wanted, work, lambda cell, _: rest.append(cell), lambda cell, _: score(cell), lambda line: None)
    assert failed == []
    assert rest == wanted[4:]
    assert all(work.score(cell) == score(cell) for cell in wanted)


def test_a_cell_that_fails_leaves_no_scores_and_does_not_stop_the_others(work):
    said, wanted = [], list(cells((0,), ("embedded",)))

    def sometimes(cell, _work):
        if cell.arm.name == "visited-k3":
            raise RunError("it must not fail, got a failure")

    failed = fill(wanted, work, sometimes, lambda cell, _: score(cell), said.append)
    assert failed == ["embedded visited-k3-s0"]
    assert [cell.arm.name for cell in wanted if work.score(cell) is None] == ["visited-k3"]
    assert any("it must not fail" in line for line in said)


def test_scores_of_another_number_of_steps_are_refused(work):
    put(work, score(FIRST))
    with pytest.raises(RunError, match="--steps must be 400"):
        fill([FIRST], replace(work, steps=5), lambda *_: None, lambda *_: {}, lambda line: None)


@pytest.fixture
def commands(monkeypatch):
    """Commands that would have been run; each ends well."""
    found = []

    def run(command, **_):
        found.append(command[3:])
        if command[3] == "train":
            place = command[command.index("--workspace") + 1]
            changes = dict(one.split("=", 1) for flag, one in pairwise(command) if flag == "--set")
            config = resolve_config(command[4], overrides=changes)
            path = RunFolder.create(RunFolder(place).path / "runs", command[command.index("--name") + 1], config)
        else:
            path = RunFolder(command[4])
        write_status(path, Status(phase="done"))

    monkeypatch.setattr(subprocess, "run", run)
    return found


@pytest.mark.parametrize("cell", list(cells((2,))), ids=lambda cell: f"{cell.base}-{cell.name}")
def test_the_command_trains_the_cells_configuration(work, commands, cell):
    train(cell, work)
    assert commands[0][:2] == ["train", BASES[cell.base]]
    assert work.run(cell).config() == cell.config(400)


def test_a_finished_run_is_not_trained_again_and_a_cut_one_is_resumed(work, commands):
    train(FIRST, work)
    train(FIRST, work)
    assert len(commands) == 1
    write_status(work.run(FIRST), Status(phase="stopped"))
    train(FIRST, work)
    assert commands[1:] == [["resume", str(work.run(FIRST).path)]]


def test_a_run_of_another_configuration_is_refused(work, commands):
    train(FIRST, work)
    with pytest.raises(RunError, match="differs in max_train_steps"):
        train(FIRST, replace(work, steps=5))


def test_a_training_that_does_not_end_well_is_an_error(work, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    with pytest.raises(RunError, match="must end as done, got queued"):
        train(FIRST, work)


def test_values_stand_seed_by_seed_and_what_is_missing_stays_a_dash():
    found = scores_of(*(score(cell_of("embedded", "anchored-k3", seed), nn=0.4 + seed / 100) for seed in (0, 2)))
    text = table(found, "embedded", (0, 1, 2))
    assert entries(text, label_of("anchored-k3"))["nn"] == f"0.400 / {MISSING} / 0.420"
    empty = " / ".join([MISSING] * 3)
    assert set(list(entries(text, label_of("visited-k3")).values())[1:]) == {empty}
    assert set(list(entries(table(found, "embedded-flow", (0, 1, 2)), label_of("anchored-k3")).values())[1:]) == {empty}


def test_the_v_difference_is_against_teacher_forcing_at_the_same_seed_and_base():
    found = scores_of(
        score(cell_of("embedded", REFERENCE, 0), v=-0.1), score(cell_of("embedded", REFERENCE, 1), v=0.2),
        score(cell_of("embedded-flow", REFERENCE, 2), v=5.0),
        *(score(cell_of("embedded", "original-k3", seed), v=-0.15) for seed in (0, 1, 2)),
    )  # fmt: skip
    row = entries(table(found, "embedded", (0, 1, 2)), label_of("original-k3"))
    assert row["V difference"] == f"−0.050 / −0.350 / {MISSING}"
    assert row["V"] == "−0.150 / −0.150 / −0.150"


def test_reflexflow_has_a_row_on_the_flow_base_only():
    label = label_of("reflexflow-k3")
    assert label not in table({}, "embedded", (0,))
    assert label in table({}, "embedded-flow", (0,))


def test_rendering_replaces_the_tables_and_keeps_the_prose(work, root):
    put(work, score(FIRST))
    for _ in range(2):
        render(work, (0, 1, 2), root)
    text = (root / "docs" / "results.md").read_text()
    assert text.startswith(f"# Title\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nWhat it means.\n")
    assert "old" not in text
    assert f"1 of {len(list(cells()))} cells" in text
    assert "400 optimizer steps" in text
    assert "2 CPU cores" in text
    assert text.count("| arm |") == 2
    assert f"62 / {MISSING} / {MISSING}" in text


def test_only_a_sheet_that_exists_is_shown(work, root):
    put(work, score(FIRST))
    render(work, (0,), root)
    text = (root / "docs" / "results.md").read_text()
    shown = re.findall(r"\]\(\.\./(assets/pictures/[^)]+)\)", text)
    assert shown == [f"assets/pictures/results-{FIRST.base}.png"]
    assert all((root / path).is_file() for path in shown)


def test_an_empty_matrix_renders_too(work, root):
    render(work, (0, 1, 2), root)
    assert "0 of" in (root / "docs" / "results.md").read_text()


@pytest.mark.parametrize("text", ["no place", f"{BEGIN} only", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_one_place_for_the_tables_is_refused_and_left_alone(work, root, text):
    (root / "docs" / "results.md").write_text(text)
    with pytest.raises(RunError, match="results:begin"):
        render(work, (0,), root)
    assert (root / "docs" / "results.md").read_text() == text


def test_the_sheet_has_a_row_an_arm_and_leaves_out_pictures_that_are_missing(work):
    blank = sheet(work, "embedded", 0)
    folder = work.pictures(cell_of("embedded", "visited-k3", 0))
    folder.mkdir(parents=True)
    for name in [*(f"instance-{index}" for index in range(KEPT)), *ASKED_FOR]:
        Image.new("RGB", (64, 64), "black").save(folder / f"{name}.png")
    filled = sheet(work, "embedded", 0)
    assert filled.size == blank.size
    darkened = sum(a != b for a, b in zip(blank.convert("L").tobytes(), filled.convert("L").tobytes(), strict=True))
    assert darkened == (KEPT + len(ASKED_FOR)) * 80 * 80
