"""The command line: what is typed, what is said, and the exit status."""

import json

import pytest
from tiny_checkpoint import save_checkpoint
from tiny_runs import SIDE, bases, one_thread, pictures, reset_accelerate, tiny_config
from typed_commands import typed

from core.config import supported
from core.config.flat import flatten
from core.config.table import option_rows, value_text
from core.runs.folder import RunFolder
from core.runs.lock import hold_training_lock
from core.runs.status import read_status
from core.training.run import train as train_run

__all__ = ["bases", "one_thread", "pictures", "typed"]


@pytest.fixture
def ready(bases, pictures, one_thread, tmp_path):
    """A config file of a tiny run."""
    path = tmp_path / "tiny.json"
    flat = {name: value for name, value in flatten(tiny_config(bases, pictures)).items() if value is not None}
    path.write_text(json.dumps(flat))
    return path


def runs(tmp_path):
    folder = tmp_path / "workspace" / "runs"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_presets_are_listed_with_their_purpose(typed):
    code, out, err = typed("presets")
    assert (code, err) == (0, [])
    names = {line.split()[0] for line in out if not line.startswith(" ")}
    assert {"demo", "sd15", "sdxl"} <= names


def test_a_preset_that_cannot_be_read_is_named_and_the_others_are_listed(typed, tmp_path):
    (tmp_path / "workspace" / "presets").mkdir(parents=True)
    (tmp_path / "workspace" / "presets" / "mine.toml").write_text("[training")
    code, out, err = typed("presets")
    assert code == 0
    assert any(line.startswith("demo") for line in out)
    assert any("mine" in line and "cannot be read" in line for line in err)


def test_every_option_stands_in_the_table(typed):
    code, out, _ = typed("options")
    assert code == 0
    for row in option_rows():
        assert any(f"`{row.flat_name}`" in line for line in out)


def test_all_problems_are_listed_at_once_and_nothing_is_made(typed, tmp_path):
    bad = {
        "scheduled_sampling_probability": "1.5",
        "scheduled_sampling_sampler": "heunn",
        "scheduled_sampling_max_step_offset": "100",
        "scheduled_sampling_stride": "50",
        "learning_rte": "1",
        "train_batch_size": "many",
    }
    code, out, err = typed(
        "train", "demo", *(part for name, value in bad.items() for part in ("--set", f"{name}={value}"))
    )
    assert code == 2
    assert out == []
    assert all(line.startswith("error: ") for line in err)
    text = "\n".join(err)
    for name in ("scheduled_sampling_probability", "scheduled_sampling_sampler", "train_batch_size"):
        assert f"error: {name} must" in text
    assert "error: learning_rte is not an option; did you mean learning_rate?" in text
    assert "unipc, euler, dpm, rk4" in text
    assert "100 × 50 = 5000" in text
    assert runs(tmp_path) == []


@pytest.mark.parametrize("command", ["train", "ab"])
def test_what_this_version_cannot_train_is_refused_before_a_folder_is_made(typed, tmp_path, command, monkeypatch):
    monkeypatch.setattr(
        supported, "LIMITS", (supported.Limit("rank", "at most 2", lambda config: config.lora.rank <= 2),)
    )
    code, _, err = typed(command, "sdxl")
    assert code == 2
    assert any("rank must be at most 2 in this version" in line for line in err)
    assert runs(tmp_path) == []


def test_a_change_without_a_value_is_told(typed):
    code, _, err = typed("train", "demo", "--set", "learning_rate")
    assert code == 2
    assert err == ["error: --set must be KEY=VALUE, got 'learning_rate'"]


@pytest.mark.parametrize("source", ["nonsense", "gone.toml", "gone.json"])
def test_a_source_that_is_none_is_told(typed, source):
    code, _, err = typed("train", source)
    assert code == 2
    assert len(err) == 1
    assert source in err[0]


@pytest.mark.parametrize("words", [("run",), ("nonsense",), ("train", "demo", "--nonsense")])
def test_a_command_that_is_typed_wrong_is_bad_input(typed, words):
    assert typed(*words)[0] == 2


@pytest.mark.parametrize(
    "command",
    ["presets", "options", "train", "run", "resume", "ab", "forecast", "sample", "status", "stop", "pause", "save",
     "sample-now", "bench", "inspect", "score", "report"],
)  # fmt: skip
def test_every_command_has_help(typed, command):
    code, out, _ = typed(command, "--help")
    assert code == 0
    assert any(command in line for line in out)


@pytest.mark.parametrize(
    "command",
    [("run",), ("resume",), ("status",), ("stop",), ("stop", "--now"), ("pause",), ("save",), ("sample-now",),
     ("sample", "--prompt", "a cat")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["unknown", "../escape", "a/b/c"])
def test_an_unknown_run_is_told(typed, command, name):
    code, _, err = typed(command[0], name, *command[1:])
    assert code == 1
    assert len(err) == 1
    assert err[0].startswith("error: run must be")


def test_a_runs_folder_that_cannot_be_written_is_told(typed, tmp_path, ready):
    (tmp_path / "blocked").write_text("a file")
    code, _, err = typed("train", str(ready), "--runs-dir", str(tmp_path / "blocked"))
    assert code == 1
    assert str(tmp_path / "blocked") in err[0]


def test_training_from_a_file_makes_a_run_and_says_where(typed, tmp_path, ready):
    code, out, _ = typed("train", str(ready), "--name", "Mein Lauf", "--set", "max_train_steps=1")
    assert code == 0
    assert out[0] == f"run folder: {tmp_path / 'workspace' / 'runs' / 'mein-lauf'}"
    assert out[-1].startswith("done")
    reset_accelerate()
    code, out, _ = typed("train", str(ready), "--set", "max_train_steps=1")
    assert runs(tmp_path) == ["mein-lauf", "tiny"]


def test_pictures_that_cannot_be_read_end_with_bad_input_and_keep_the_run(typed, tmp_path, ready):
    (tmp_path / "empty").mkdir()
    code, _, err = typed("train", str(ready), "--set", f"instance_data_dir={tmp_path / 'empty'}")
    assert code == 2
    assert any("instance_data_dir must hold at least one picture" in line for line in err)
    folder = RunFolder(tmp_path / "workspace" / "runs" / "tiny")
    assert read_status(folder).phase == "failed"
    assert "instance_data_dir" in read_status(folder).error


def test_a_base_that_is_no_model_ends_with_bad_input(typed, tmp_path, ready):
    code, _, err = typed("train", str(ready), "--set", f"pretrained_model_name_or_path={tmp_path}")
    assert code == 2
    assert any("pretrained_model_name_or_path must be a diffusers folder" in line for line in err)


def test_status_tells_every_run_as_json(typed, tmp_path, bases, pictures):
    RunFolder.create(tmp_path / "workspace" / "runs", "waiting", tiny_config(bases, pictures))
    code, out, _ = typed("status", "--json")
    assert code == 0
    (facts,) = [json.loads(line) for line in out]
    assert (facts["run"], facts["label"], facts["step"]) == ("waiting", "queued", 0)
    assert typed("status", "waiting", "--json")[1] == out
    assert "queued" in typed("status")[1][0]


def test_without_runs_status_says_nothing(typed):
    assert typed("status", "--json")[:2] == (0, [])


ROLLOUT = (
    "--set", "scheduled_sampling_max_step_offset=3", "--set", "scheduled_sampling_stride=200",
    "--set", "scheduled_sampling_probability=1",
)  # fmt: skip


def test_a_forecast_measures_tells_and_keeps_without_training_or_drawing(typed, ready, tmp_path):
    preserved = ("--set", "with_prior_preservation=true", "--set", "class_prompt=a cat")
    code, out, err = typed("forecast", str(ready), *ROLLOUT, *preserved, "--json")
    assert (code, err) == (0, [])
    (line,) = out
    told = json.loads(line)
    calibration, cost = told["measurement"]["calibration"], told["forecast"]
    plain = calibration["train_call"] + 4 * calibration["train_item"] + calibration["rest"]
    assert cost["plain_seconds_per_step"] == pytest.approx(plain)
    extra = calibration["forward_call"] * cost["rollout_calls_per_step"]
    extra += calibration["forward_item"] * cost["rollout_forwards_per_step"]
    assert cost["seconds_per_step"] == pytest.approx(plain + extra)
    facts = told["measurement"]["facts"]
    assert facts["level"] == pytest.approx(facts["distance"] / 4)
    assert 0 < told["start_above_level"] <= 1
    assert "start above timestep" in told["warning"]
    workspace = tmp_path / "workspace"
    (kept,) = (workspace / "measurements").iterdir()
    assert json.loads(kept.read_text()) == told["measurement"]
    assert runs(tmp_path) == []
    assert not (workspace / "class_images").exists()


def test_a_forecast_for_people_says_the_same(typed, ready):
    code, out, _ = typed("forecast", str(ready), *ROLLOUT)
    assert code == 0
    text = "\n".join(out)
    for words in ("seconds per step", "relative step time", "whole training", "inference grid", "safe level"):
        assert words in text
    assert out[-1].startswith("warning: ")
    reset_accelerate()
    code, out, _ = typed("forecast", str(ready), *ROLLOUT, "--set", "scheduled_sampling_target=posterior")
    assert not any(line.startswith("warning") for line in out)


def test_a_forecast_waits_for_no_training(typed, ready, tmp_path):
    with hold_training_lock(tmp_path / "workspace", "busy"):
        code, _, err = typed("forecast", str(ready))
    assert code == 1
    assert 'run "busy" is in progress' in err[-1]


def test_a_forecast_of_settings_that_are_wrong_is_refused(typed, ready, tmp_path):
    code, _, err = typed("forecast", str(ready), "--set", "rank=0")
    assert code == 2
    assert any("rank must" in line for line in err)
    assert not (tmp_path / "workspace" / "measurements").exists()


def test_a_finished_run_is_not_begun_again(typed, ready, tmp_path):
    typed("train", str(ready), "--set", "max_train_steps=1")
    reset_accelerate()
    code, _, err = typed("run", "tiny")
    assert code == 1
    assert "resume it instead" in err[-1]
    assert read_status(RunFolder(tmp_path / "workspace" / "runs" / "tiny")).phase == "done"


def test_a_run_elsewhere_is_named_by_its_folder(typed, tmp_path, bases, pictures, one_thread):
    folder = RunFolder.create(tmp_path / "elsewhere", "run", tiny_config(bases, pictures, max_train_steps=1))
    assert typed("run", str(folder.path))[0] == 0
    assert read_status(folder).phase == "done"


def test_every_value_can_be_typed(typed, tmp_path, ready, bases, pictures):
    """What ``status`` of the config says, ``--set`` reads."""
    config = tiny_config(bases, pictures, lora_targets="all", random_flip=True, snr_gamma=5.0, max_train_steps=1)
    changes = [f"{name}={value_text(value)}" for name, value in flatten(config).items()]
    code, *_ = typed("train", str(ready), *(part for change in changes for part in ("--set", change)))
    assert code == 0
    assert RunFolder(tmp_path / "workspace" / "runs" / "tiny").config() == config


def test_drawing_needs_a_finished_run(typed, tmp_path, bases, pictures):
    RunFolder.create(tmp_path / "workspace" / "runs", "waiting", tiny_config(bases, pictures))
    code, _, err = typed("sample", "waiting", "--prompt", "a cat")
    assert code == 1
    assert "must be a finished run" in err[0]


def test_a_finished_run_draws(typed, tmp_path, bases, pictures, one_thread):
    folder = RunFolder.create(tmp_path / "workspace" / "runs", "run", tiny_config(bases, pictures, max_train_steps=1))
    train_run(folder)
    code, out, _ = typed("sample", "run", "--prompt", "a cat", "--prompt", "a dog", "--count", "2", "--seed", "5")
    assert code == 0
    names = [line.rsplit("/", 1)[1] for line in out]
    assert names == ["p00-s5.png", "p00-s6.png", "p01-s5.png", "p01-s6.png"]
    assert all(line.startswith(str(folder.path / "drawn")) for line in out)


def test_a_stop_of_a_run_that_does_not_run_says_what_it_is(typed, tmp_path, bases, pictures, monkeypatch):
    monkeypatch.setattr("core.runs.process.GRACE_SECONDS", 0.05)
    RunFolder.create(tmp_path / "workspace" / "runs", "waiting", tiny_config(bases, pictures))
    code, out, _ = typed("stop", "waiting")
    assert code == 0
    assert out[0].startswith("queued")


def test_the_tiny_side_fits_the_base(tmp_path):
    assert (save_checkpoint(tmp_path / "base") / "model_index.json").is_file()
    assert SIDE % 8 == 0
