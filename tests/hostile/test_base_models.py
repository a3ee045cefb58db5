"""Base models and checkpoints whose files lie: one sentence each, nothing run, nothing trained on."""

import json
import pickle
import shutil

import pytest
import torch
from hostile_input import told
from lying_weights import LIES, Trap, entry, written
from safetensors.torch import load_file, save_file
from tiny_runs import adapter, run, same_bits

from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder


@pytest.fixture
def base(bases, tmp_path):
    """A base model of one's own to spoil."""
    return shutil.copytree(bases["v_prediction"], tmp_path / "base")


WEIGHTS = {
    part: f"{part}/{name}"
    for part, name in (
        ("unet", "diffusion_pytorch_model.safetensors"),
        ("vae", "diffusion_pytorch_model.safetensors"),
        ("text_encoder", "model.safetensors"),
    )
}
SPOILED = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "a lying header": lambda path: path.write_bytes(LIES["2^63 long"]),
    "no tensors": lambda path: path.write_bytes(written({})),
    "half of the tensors": lambda path: save_file(dict(list(load_file(path).items())[::2]), path),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("part", WEIGHTS)
def test_a_base_model_without_whole_weights_is_never_trained(base, part, spoil):
    spoil(base / WEIGHTS[part])
    (sentence,) = told(lambda: StableDiffusion.load(str(base))).values()
    assert sentence.startswith("pretrained_model_name_or_path must be a diffusers folder")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", WEIGHTS)
def test_pickled_weights_of_a_base_model_are_never_opened(base, tmp_path, part):
    path = base / WEIGHTS[part]
    path.unlink()
    name = "pytorch_model.bin" if part == "text_encoder" else "diffusion_pytorch_model.bin"
    path.with_name(name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    told(lambda: StableDiffusion.load(str(base)))
    assert not (tmp_path / "sprung").exists()


SETTINGS = {
    "model_index.json": ["[1]", "null", "{}", "{{{", '{"a":' * 100_000],
    "unet/config.json": ["[1]", "null", "{{{", '{"a":' * 100_000, '{"block_out_channels": [-8, -16]}'],
    "scheduler/scheduler_config.json": [
        "null", "{{{", '{"num_train_timesteps": 0}', '{"num_train_timesteps": 1}', '{"beta_start": "x"}',
        '{"prediction_type": [1]}', '{"trained_betas": [2, 3, 4]}',
    ],
    "vae/config.json": ['{"scaling_factor": "x"}', '{"scaling_factor": 0}'],
    "tokenizer/tokenizer_config.json": ["[1]", "{{{", '{"a":' * 100_000],
}  # fmt: skip
CASES = [(name, text) for name, texts in SETTINGS.items() for text in texts]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "text"), CASES, ids=[f"{name}: {text[:30]}" for name, text in CASES])
def test_settings_of_a_base_model_that_make_no_sense_are_one_sentence(base, name, text):
    path = base / name
    if text.endswith("}") and text != "{}":
        text = json.dumps(json.loads(path.read_text()) | json.loads(text))
    path.write_text(text)
    (sentence,) = told(lambda: StableDiffusion.load(str(base))).values()
    assert sentence.startswith("pretrained_model_name_or_path must ")


@pytest.mark.parametrize("name", ["a" * 5000, "/" + "a" * 300, "a\0b", "\ud800", "~nobody/x", "/dev/zero", "../../etc"])
def test_a_name_that_is_no_base_model_is_one_sentence(name, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (sentence,) = told(lambda: StableDiffusion.load(name)).values()
    assert sentence.startswith("pretrained_model_name_or_path must ")


def reshaped(path):
    save_file({key: torch.zeros(2, 3) for key in load_file(path)}, path)


DAMAGE = {
    "adapter.safetensors": {
        **{what: LIES[what] for what in ("empty", "2^63 long", "no tensors", "header of 50,000 objects")},
        "other shapes": reshaped,
    },
    "optimizer.safetensors": {
        **{what: LIES[what] for what in ("empty", "longer than the file")},
        "keys that are none": written({"x": entry([1], 0, 4)}, bytes(4)),
        "no tensors": LIES["no tensors"],
        "other shapes": reshaped,
    },
    "state.json": {"empty": b"", "a list": b"[]", "null": b"null", "100,000 objects": b'{"a":' * 100_000},
}
STATES = [(name, what) for name, of in DAMAGE.items() for what in of]


@pytest.fixture
def stopped(trained):
    """A run that has done two of three steps and keeps both checkpoints."""
    folder = trained(max_train_steps=3, checkpointing_steps=1, checkpoints_total_limit=3)
    whole = adapter(folder)
    shutil.rmtree(folder.checkpoints_dir / "step-000003")
    return folder, whole


def test_a_damaged_checkpoint_is_named_with_the_way_out_and_the_older_one_is_as_good(stopped, tmp_path):
    folder, whole = stopped
    for name, what in STATES:
        copy = RunFolder(shutil.copytree(folder.path, tmp_path / "workspace" / "runs" / "copy"))
        path = copy.checkpoints_dir / "step-000002" / name
        damage = DAMAGE[name][what]
        damage(path) if callable(damage) else path.write_bytes(damage)
        (sentence,) = told(lambda copy=copy: run(copy, resume=True)).values()
        assert "step-000002" in sentence, (name, what)
        assert "delete it to go on from an older one" in sentence, (name, what)
        shutil.rmtree(copy.path)
    shutil.rmtree(folder.checkpoints_dir / "step-000002")
    run(folder, resume=True)
    assert same_bits(adapter(folder), whole)
