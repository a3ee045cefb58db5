"""Taking over configs of other tools, and writing them, as typed."""

import json
from pathlib import Path

import pytest
from typed_commands import typed

from core.config.foreign.kept import read_kept
from core.config.presets import load_preset, resolve_config
from core.config.saved import save_config
from core.runs.experiment import create_experiment
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace

__all__ = ["typed"]

EXAMPLES = Path(__file__).parents[1] / "config" / "foreign" / "examples"
SIMPLETUNER = str(EXAMPLES / "simpletuner" / "config.json")


def test_the_report_names_each_standing_and_both_ramps(typed):
    code, out, err = typed("import", SIMPLETUNER)
    assert (code, err) == (0, [])
    text = "\n".join(out)
    assert out[0] == "config.json: a file of SimpleTuner"
    for heading in ("mapped (", "differs (", "ignored (", "unknown (", "not in the file", "chance of a rollout:"):
        assert heading in text
    assert "             200    1.000    0.000" in out
    assert any("--a_key_of_tomorrow" in line for line in out)


def test_an_import_writes_a_config_that_trains_and_goes_back(typed, tmp_path):
    mine, theirs = tmp_path / "mine.json", tmp_path / "back" / "config.json"
    code, out, _ = typed("import", SIMPLETUNER, "--out", str(mine), "--set", "max_train_steps=12")
    assert code == 0
    assert out[-1].startswith(f"written: {mine}")
    assert resolve_config(mine).training.max_train_steps == 12
    code, out, _ = typed("config", str(mine), "--as", "simpletuner", "--out", str(theirs))
    assert code == 0
    table = json.loads(theirs.read_text())
    assert (table["--max_train_steps"], table["--another_key"]) == (12, "1.0")
    assert json.loads((theirs.parent / "multidatabackend.json").read_text())[0]["id"] == "cat"
    again = tmp_path / "again.json"
    assert typed("import", str(theirs), "--out", str(again))[0] == 0
    assert resolve_config(again) == resolve_config(mine)


def test_json_is_one_object_with_config_and_ramps(typed):
    code, out, _ = typed("import", SIMPLETUNER, "--json")
    told = json.loads("\n".join(out))
    assert (code, told["from"], told["problems"]) == (0, "simpletuner", [])
    assert told["config"]["lora"]["rank"] == 16
    assert {"step": 0, "there": 1.0, "here": 0.0} in told["ramps"]
    assert {"mapped", "differs", "ignored", "unknown"} == {row["standing"] for row in told["keys"]}


def test_what_is_missing_is_asked_for_and_may_come_from_a_preset(typed, tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model_family": "sd1x", "max_train_steps": 5, "lora_dropout": 0}')
    code, out, err = typed("import", str(path), "--out", str(tmp_path / "mine.json"))
    assert code == 2
    assert any(line.endswith("instance_data_dir must be given; add --set instance_data_dir=…") for line in err)
    assert not (tmp_path / "mine.json").exists()
    code, out, _ = typed("import", str(path), "--preset", "demo", "--out", str(tmp_path / "mine.json"))
    assert code == 0
    assert resolve_config(tmp_path / "mine.json").data == load_preset("demo").config.data.model_copy(
        update=resolve_config(tmp_path / "mine.json").data.model_dump(exclude={"instance_data_dir", "instance_prompt"})
    )
    assert any("missing in the file: taken from the preset" in line for line in out)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", SIMPLETUNER, "--from", "onetrainer"), "--from must be one of simpletuner, diffusers, kohya"),
        (("import", SIMPLETUNER, "--out", "a.toml"), "--out must be a .json file"),
        (("import", "nothing.json"), "must be an existing file"),
        (("import", SIMPLETUNER, "--set", "rnak=4"), "rnak is not an option; did you mean rank?"),
        (("config", "demo", "--as", "yaml"), "--as must be json or simpletuner"),
    ],
)
def test_what_cannot_be_done_gets_a_sentence(typed, words, told):
    code, _, err = typed(*words)
    assert code != 0
    assert told in "\n".join(err)


def test_a_preset_goes_out_too_and_what_cannot_be_said_is_told(typed):
    code, out, err = typed("config", "demo", "--as", "simpletuner")
    assert code == 0
    assert json.loads("\n".join(out))["model_family"] == "sd1x"
    assert any("cannot be said there" in line for line in err)
    code, out, _ = typed("config", "demo")
    assert json.loads("\n".join(out)) == load_preset("demo").config.model_dump(mode="json")


def test_the_list_of_data_sets_never_takes_the_place_of_the_config(typed, tmp_path):
    out = tmp_path / "multidatabackend.json"
    code, _, err = typed("config", "demo", "--as", "simpletuner", "--out", str(out))
    assert (code, out.exists()) == (2, False)
    assert "--out must be another file than the list of data sets" in "\n".join(err)


def test_what_was_kept_is_frozen_into_every_run(typed, tmp_path):
    typed("import", SIMPLETUNER, "--out", str(tmp_path / "mine.json"))
    kept = read_kept(tmp_path / "mine.json")
    config = resolve_config(tmp_path / "mine.json")
    workspace = Workspace(tmp_path / "workspace")
    run = RunFolder.create(workspace.runs_dir, "cat", config, imported=kept.section)
    assert run.config() == config
    experiment = create_experiment(workspace, "both", config, imported=kept.section)
    for path in (run.config_path, *(arm.run.config_path for arm in experiment.arms)):
        assert read_kept(path) == kept
    code, out, _ = typed("config", "cat", "--as", "simpletuner")
    assert code == 0
    assert json.loads("\n".join(out))["--another_key"] == "1.0"


def test_a_file_without_an_import_is_frozen_as_ever(tmp_path):
    config = load_preset("demo").config
    save_config(config, tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == config.model_dump(mode="json")
