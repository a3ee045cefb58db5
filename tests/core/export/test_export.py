"""Every format read back by its own reader does what the run's adapter does; what does not is not handed out."""

import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from core.config.flat import flatten, parse_config
from core.errors import ConfigError, RunError
from core.export import write
from core.export.check import ask, compare, put_on, require_agreement
from core.export.export import _question, export_run
from core.export.formats import FORMATS, format_problem
from core.models.lora_file import read_lora
from core.models.lora_fit import load_lora, parts_of
from core.runs.exported import export_folder, read_exported
from core.runs.folder import RunFolder
from core.runs.status import read_status
from core.samples.load import load_base
from core.training.report import Stopped
from tests.support.exports import Silent

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def exports(finished, tmp_path_factory) -> dict[str, Path]:
    """The run in every format."""
    root = tmp_path_factory.mktemp("exports")
    for name in FORMATS:
        export_run(finished, name, root / name, "my-cat", Silent())
    return {name: root / name for name in FORMATS}


@pytest.fixture(scope="module")
def answers(finished):
    """What base model and adapter say, the adapter put on by our own arithmetic: scale times B, no reader's alpha."""
    config = finished.config()
    family = load_base(config)
    base = ask(family, _question(config), lambda: None)
    load_lora(read_lora(finished.adapter_dir), family)
    return base, ask(family, _question(config), lambda: None)


@pytest.mark.parametrize("name", FORMATS)
def test_its_own_reader_gives_what_the_matrices_say(finished, exports, answers, name):
    family, config = load_base(finished.config()), finished.config()
    put_on(family, name, exports[name], "my-cat")
    found = compare(*answers, ask(family, _question(config), lambda: None))
    require_agreement(name, found)
    assert all(each.change > 1e-3 for each in found)
    assert all(each.deviation < 1e-4 and each.amount == pytest.approx(1, abs=1e-4) for each in found)


def test_kohya_has_the_alpha_that_the_run_was_trained_with(exports):
    tensors = load_file(exports["kohya"] / "my-cat.safetensors")
    alphas = {key: value.item() for key, value in tensors.items() if key.endswith(".alpha")}
    downs = [key for key in tensors if key.endswith(".lora_down.weight")]
    assert set(alphas.values()) == {3.0}
    assert {tensors[key].shape[0] for key in downs} == {2}
    assert {key.removesuffix(".alpha") for key in alphas} == {key.removesuffix(".lora_down.weight") for key in downs}
    assert all(key.startswith("lora_unet_") and key.count(".") <= 2 for key in tensors)


@pytest.mark.parametrize("name", FORMATS)
def test_the_matrices_are_the_runs_own_bit_for_bit(finished, exports, name):
    own = sorted(load_file(read_lora(finished.adapter_dir).path).values(), key=lambda tensor: tensor.sum().item())
    path = exports[name] / FORMATS[name].file_of("my-cat")
    made = [tensor for key, tensor in load_file(path).items() if not key.endswith(".alpha")]
    made.sort(key=lambda tensor: tensor.sum().item())
    assert len(own) == len(made)
    assert all(torch.equal(a, b) for a, b in zip(own, made, strict=True))


def test_what_was_measured_is_written_down(exports):
    for name, folder in exports.items():
        found = read_exported(folder)
        assert (found.format, found.name) == (name, "my-cat")
        assert [each.what for each in found.measured] == ["network", "picture"]
        assert all(each.holds for each in found.measured)
        assert all((folder / file).stat().st_size == size for file, size in found.files.items())
        assert {path.name for path in folder.iterdir()} >= {"README.md", "images", FORMATS[name].file_of("my-cat")}


def test_the_command_exports_packs_and_says_what_was_measured(typed, run, tmp_path):
    code, out, _ = typed("export", "my-cat", "--format", "kohya", "--zip")
    folder = tmp_path / "workspace" / "exports" / "my-cat-kohya"
    assert code == 0
    assert "tolerance 0.001" in out[0]
    assert out[1].startswith("weights: my-cat.safetensors, ")
    assert out[2:] == [f"export: {folder}", f"zip: {folder}.zip"]
    with zipfile.ZipFile(f"{folder}.zip") as packed:
        assert set(packed.namelist()) >= {f"my-cat-kohya/{name}" for name in read_exported(folder).files}
    assert read_status(export_folder(run, "kohya")).phase == "done"


@pytest.mark.parametrize(("wrong", "sentence"), [
    (lambda module, dtype: torch.tensor(float(module.rank), dtype=dtype), "must change what the run's adapter changes"),
    (lambda module, dtype: torch.zeros(2, dtype=dtype), "must load through its own reader"),
])  # fmt: skip
def test_an_export_that_does_something_else_is_removed_and_fails(typed, run, tmp_path, monkeypatch, wrong, sentence):
    place = tmp_path / "workspace" / "exports"
    monkeypatch.setattr(write, "_alpha", wrong)
    code, _, err = typed("export", "my-cat", "--format", "kohya")
    assert code == 1
    assert any(sentence in line for line in err)
    assert list(place.iterdir()) == []
    assert read_status(export_folder(run, "kohya")).phase == "failed"


def test_a_failed_export_leaves_the_earlier_one(finished, tmp_path, monkeypatch):
    out = tmp_path / "out"
    export_run(finished, "kohya", out, "mine", Silent())
    before = (out / "mine.safetensors").read_bytes()
    monkeypatch.setattr(write, "_alpha", lambda module, dtype: torch.tensor(0.5, dtype=dtype))
    with pytest.raises(RunError, match="must change what"):
        export_run(finished, "kohya", out, "mine", Silent())
    assert (out / "mine.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_adapter_that_changes_nothing_exports_as_one(finished, run, tmp_path):
    path = read_lora(run.adapter_dir).path
    with safe_open(path, framework="pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file({key: torch.zeros_like(tensor) for key, tensor in tensors.items()}, path, metadata=metadata)
    found = export_run(run, "peft", tmp_path / "out", "nothing", Silent())
    assert [(each.change, each.deviation, each.holds) for each in found.measured] == [(0, None, True)] * 2
    assert "not changed by the adapter, nor by the export" in found.measured[0].text


@pytest.mark.parametrize("family", ["sd3", "flux"])
def test_kohya_keys_of_a_transformer_are_refused_with_what_to_ask_for(typed, finished, tmp_path, family):
    config = finished.config()
    values = {**flatten(config), "family": family, "scheduled_sampling_max_step_offset": 0}
    RunFolder.create(tmp_path / "workspace" / "runs", "other", parse_config(values))
    code, _, err = typed("export", "other", "--format", "kohya")
    assert code == 2
    assert err == [
        "error: --format must be kohya only for the family sdxl or stable_diffusion, got a run of the family "
        f"{family}; ask for diffusers, whose keys are what ComfyUI reads for this family"
    ]
    assert format_problem("diffusers", family) is None
    assert format_problem("peft", family) is None


def test_an_unknown_format_names_those_there_are(typed, run):
    code, _, err = typed("export", "my-cat", "--format", "lycoris")
    assert code == 2
    assert err == ["error: --format must be one of diffusers, kohya, peft, got 'lycoris'"]


def test_a_run_without_an_adapter_is_refused(typed, finished, tmp_path):
    RunFolder.create(tmp_path / "workspace" / "runs", "begun", finished.config())
    code, _, err = typed("export", "begun")
    assert code == 1
    assert "must be a finished run with an adapter" in err[-1]


def test_a_folder_of_something_else_is_left_alone(typed, run, tmp_path):
    own = tmp_path / "thesis"
    own.mkdir()
    (own / "chapter.txt").write_text("years of work")
    code, _, err = typed("export", "my-cat", "--out", str(own))
    assert code == 1
    assert "--out must be a new folder or an earlier export" in err[-1]
    assert [path.name for path in own.iterdir()] == ["chapter.txt"]


def test_a_stop_leaves_nothing(finished, tmp_path):
    class Stops(Silent):
        def progress(self, done, total):
            if done == 7:  # in the midst of the export's own picture
                raise Stopped

    with pytest.raises(Stopped):
        export_run(finished, "diffusers", tmp_path / "out", "mine", Stops())
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_does_not_say_how_it_was_made_is_refused(run, tmp_path):
    path = read_lora(run.adapter_dir).path
    save_file(load_file(path), path)
    with pytest.raises(RunError, match="must hold lora_adapter_metadata"):
        export_run(run, "peft", tmp_path / "out", "mine", Silent())


def test_a_family_that_cannot_have_the_format_is_refused_by_the_export_itself(run, tmp_path):
    with pytest.raises(ConfigError, match="--format must be one of"):
        export_run(run, "other", tmp_path / "out", "mine", Silent())


def test_peft_writes_the_base_models_class_and_no_path(exports):
    said = json.loads((exports["peft"] / "adapter_config.json").read_text())
    assert said["auto_mapping"]["base_model_class"] == "UNet2DConditionModel"
    assert (said["base_model_name_or_path"], said["r"], said["lora_alpha"]) == (None, 2, 3.0)


def test_the_parts_are_those_that_files_name(finished):
    assert set(parts_of(load_base(finished.config()))) == {"unet", "text_encoder"}
