import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.config import presets as module
from core.config.flat import difference, flatten
from core.config.paths import PRESETS_DIR, PROJECT_ROOT, resolve_path
from core.config.presets import (
    broken_presets,
    list_presets,
    load_preset,
    resolve_config,
    save_preset,
    slug,
)
from core.config.saved import load_config, save_config
from core.errors import ConfigError, RunError
from core.models import FAMILIES

SHIPPED = sorted(path.stem for path in PRESETS_DIR.glob("*.toml"))


def refusals(*args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        resolve_config(*args, **kwargs)
    return [problem.message for problem in caught.value.problems]


def test_the_demo_comes_first_and_its_twin_and_the_four_families_follow():
    names = list(list_presets())
    assert names[:2] == ["demo", "demo-flow"]
    families = [list_presets()[name].config.model.family for name in names]
    assert families == sorted(families, key=list(FAMILIES).index)  # from small base models to large
    assert {"demo", "demo-flow", "sd15", "sdxl", "sd3", "flux"} <= set(SHIPPED)
    assert broken_presets() == {}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_says_what_it_is_and_for_whom(name):
    preset = load_preset(name)
    assert preset.shipped
    assert preset.path == PRESETS_DIR / f"{name}.toml"
    for words in (preset.title, preset.summary, preset.for_whom):
        assert len(words) > 10
    assert "#" in preset.path.read_text(encoding="utf-8")
    assert preset.config.scheduled_sampling.enabled


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_preset_is_the_same_by_name_and_by_path(name):
    assert resolve_config(PRESETS_DIR / f"{name}.toml") == resolve_config(name) == load_preset(name).config


@pytest.mark.parametrize(("name", "base"), [("demo", "embedded"), ("demo-flow", "embedded-flow")])
def test_a_demo_needs_nothing_that_does_not_ship(name, base):
    config = load_preset(name).config
    assert config.model.pretrained_model_name_or_path == base
    pictures = [path.suffix for path in resolve_path(config.data.instance_data_dir).iterdir()]
    assert pictures.count(".png") >= 4
    assert config.data.class_prompt == config.data.instance_prompt.replace("sks ", "")


def test_the_demos_differ_in_the_base_and_the_steps_of_the_rollout_alone():
    demo, flow = load_preset("demo").config, load_preset("demo-flow").config
    assert set(difference(demo, flow)) == {"pretrained_model_name_or_path", "scheduled_sampling_stride"}
    assert (flow.flow_matching, flow.reflexflow_on, flow.last_timestep) == (True, True, 1000)
    assert (demo.flow_matching, demo.reflexflow_on, demo.last_timestep) == (False, False, 999)


def test_the_values_of_a_preset_are_what_its_file_states():
    preset = load_preset("demo")
    assert preset.values["model"] == {"family": "stable_diffusion", "pretrained_model_name_or_path": "embedded"}
    assert "adam_beta1" not in preset.values["training"]


def test_an_unknown_preset_gets_the_nearest_name():
    (message,) = refusals("dmeo")
    assert message.startswith("preset must be one of demo, ")
    assert message.endswith("got 'dmeo'; did you mean demo?")
    assert refusals("", base="x") != []


@pytest.mark.parametrize("ending", [".toml", ".json"])
@pytest.mark.parametrize("nested", [True, False])
def test_a_partial_file_is_completed_from_the_base(tmp_path, ending, nested):
    path = tmp_path / f"mine{ending}"
    if ending == ".json":
        rows = (
            {"scheduled_sampling": {"order": 1}, "lora": {"rank": 4}}
            if nested
            else {"scheduled_sampling_order": 1, "rank": 4}
        )
        path.write_text(json.dumps(rows))
    else:
        path.write_text(
            "[scheduled_sampling]\norder = 1\n[lora]\nrank = 4" if nested else "scheduled_sampling_order = 1\nrank = 4"
        )
    demo, sd15 = load_preset("demo").config, load_preset("sd15").config
    changed = {"rank", "scheduled_sampling_order"}
    assert set(difference(demo, resolve_config(path))) == changed
    assert set(difference(sd15, resolve_config(str(path), base="sd15"))) == changed
    assert resolve_config(path).lora.rank == 4


def test_null_in_a_file_unsets_what_the_base_sets(tmp_path):
    (tmp_path / "a.json").write_text('{"snr_gamma": null}')
    (tmp_path / "a.toml").write_text('unset = ["snr_gamma"]')
    for name in ("a.json", "a.toml"):
        assert load_preset("sd15").config.training.snr_gamma is not None
        assert resolve_config(tmp_path / name, base="sd15").training.snr_gamma is None


def test_what_is_unset_and_given_at_once_is_refused(tmp_path):
    (tmp_path / "a.toml").write_text('unset = ["snr_gamma", "ranks"]\nsnr_gamma = 5.0')
    assert refusals(tmp_path / "a.toml") == [
        "ranks is not an option; did you mean rank?",
        "snr_gamma must have a value or be unset, got both",
    ]
    (tmp_path / "b.toml").write_text("unset = 3")
    assert refusals(tmp_path / "b.toml") == ["unset must be a list of options, got 3"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("a\0b.toml", "must be the name of a file"),
        ("none.toml", "must be an existing file"),
        ("a/b", "got no ending"),
        ("~nosuchuser/x.json", "must be an existing file"),
    ],
)
def test_a_source_that_is_no_file_gets_one_sentence(source, told):
    (message,) = refusals(source)
    assert told in message


@pytest.mark.parametrize("folder", ["~nosuchuser/x", "x" * 5000, "not/there"])
def test_a_path_that_is_not_there_is_left_for_later(folder):
    assert resolve_config("demo", overrides={"instance_data_dir": folder}).data.instance_data_dir == folder


def test_overrides_win_and_are_read_by_type():
    config = resolve_config("demo", overrides={"rank": "4", "scheduled_sampling_stride": "inference", "seed": 7})
    assert (config.lora.rank, config.scheduled_sampling.stride, config.training.seed) == (4, "inference", 7)


def test_the_problems_of_file_and_overrides_are_told_together(tmp_path):
    (tmp_path / "a.toml").write_text("ranks = 4\nlora_dropout = 2.0")
    messages = refusals(
        tmp_path / "a.toml", overrides={"seed": "-1", "sed": "1", "scheduled_sampling_probability": "1.5"}
    )
    assert [message.split()[0] for message in messages] == [
        "ranks",
        "sed",
        "seed",
        "lora_dropout",
        "scheduled_sampling_probability",
    ]


def test_relative_paths_are_seen_from_where_one_stands_and_then_from_the_project(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve_config("demo", overrides={"instance_data_dir": "pictures"}).data.instance_data_dir == str(
        (tmp_path / "pictures").resolve()
    )
    subject = load_preset("demo").config.data.instance_data_dir
    assert resolve_config("demo", overrides={"instance_data_dir": subject}).data.instance_data_dir == subject
    assert resolve_path(subject) == PROJECT_ROOT / subject
    monkeypatch.chdir(PROJECT_ROOT)
    assert resolve_config("demo", overrides={"instance_data_dir": subject}).data.instance_data_dir == subject


@pytest.mark.parametrize("name", ["embedded", "embedded-flow"])
def test_a_folder_that_is_called_like_an_embedded_base_does_not_hide_it(tmp_path, monkeypatch, name):
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    config = resolve_config("demo", overrides={"pretrained_model_name_or_path": name})
    assert config.model.pretrained_model_name_or_path == name


@pytest.mark.parametrize("name", SHIPPED)
def test_a_saved_preset_is_listed_beside_the_shipped_ones_and_comes_back_whole(tmp_path, name):
    config = resolve_config(name, overrides={"rank": 5, "instance_prompt": 'a "quoted"\n\\ sks é'})
    path = save_preset(tmp_path, "My  Préset!", "Mine", config)
    assert path == tmp_path / "presets" / "my-preset.toml"
    listed = list_presets(tmp_path)
    assert list(listed) == [*list_presets(), "my-preset"]
    assert listed["my-preset"].config == config
    assert (listed["my-preset"].title, listed["my-preset"].shipped) == ("Mine", False)
    assert resolve_config("my-preset", workspace=tmp_path) == config
    for base in SHIPPED:
        assert resolve_config(path, base=base) == config


def test_ones_own_preset_is_replaced_and_a_shipped_one_never(tmp_path):
    config = load_preset("demo").config
    save_preset(tmp_path, "mine", "One", config)
    save_preset(tmp_path, "mine", "Two", config)
    assert list_presets(tmp_path)["mine"].title == "Two"
    with pytest.raises(ConfigError, match="must not be that of a shipped preset, got 'demo'"):
        save_preset(tmp_path, "Demo", "Mine", config)
    with pytest.raises(ConfigError, match="must hold a letter or a digit"):
        save_preset(tmp_path, "../..", "Mine", config)
    assert os.listdir(tmp_path) == ["presets"]


def test_a_workspace_file_does_not_hide_a_shipped_preset(tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "sd15.toml").write_text('title = "fake"\nrank = 1')
    assert list_presets(tmp_path)["sd15"].shipped


def test_a_broken_preset_is_told_and_hides_no_other(tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "bad.toml").write_text("title = 3\nrank = 0")
    (tmp_path / "presets" / "worse.toml").write_text("= = =")
    (tmp_path / "presets" / "good.toml").write_text("rank = 3")
    assert list(list_presets(tmp_path)) == [*list_presets(), "good"]
    assert list_presets(tmp_path)["good"].title == "good"
    broken = broken_presets(tmp_path)
    assert set(broken) == {"bad", "worse"}
    path = tmp_path / "presets" / "bad.toml"
    assert str(broken["bad"]).splitlines() == [
        f"{path}: title must be a text, got 3",
        f"{path}: rank must be between 1 and 1024, got 0",
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_configuration_file_comes_back_whole(tmp_path, name):
    config = load_preset(name).config
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == config
    table = json.loads((tmp_path / "config.json").read_text())
    assert sum(len(block) for block in table.values()) == len(flatten(config))


def test_saving_where_nothing_can_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="must be in a folder that can be written"):
        save_config(load_preset("demo").config, tmp_path / "file" / "config.json")


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("My Run", "my-run"),
        ("../../etc/passwd", "etc-passwd"),
        ("Ünïcode", "unicode"),
        ("--a__b--", "a-b"),
        ("日本", ""),
    ],
)
def test_slugs_are_safe_in_a_path(name, short):
    assert slug(name) == short
    assert len(slug("x" * 500)) == 64


def test_presets_load_without_anything_heavy():
    code = (
        "import sys; from core.config import table, presets, supported; presets.list_presets();"
        "print(sorted({'torch','numpy','gradio','diffusers','transformers','peft','matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_project_root_holds_the_presets():
    assert Path(module.__file__).is_relative_to(PROJECT_ROOT)
    assert resolve_path("/a/b") == Path("/a/b")
    assert resolve_path("~/a") == Path.home() / "a"
