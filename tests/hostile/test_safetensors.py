"""Files of weights that lie: LoRA files, base models, checkpoints. One sentence each, nothing run, nothing trained."""

import json
import math
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import torch
from hostile_input import told
from safetensors.torch import load_file, save_file
from tiny_runs import adapter, run, same_bits

from core.models.lora_file import read_lora
from core.models.lora_fit import audit, load_lora, update_norm
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder

DOWN, UP = "unet.a.lora_A.weight", "unet.a.lora_B.weight"


def written(header, body=b"", length=None):
    """A safetensors file, whatever it says of itself."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def pair(down, up, size=0, metadata=None, **more):
    """A LoRA of one module; `size` zero bytes of body."""
    named = {} if metadata is None else {"__metadata__": metadata}
    return written({**named, DOWN: down, UP: up, **more}, bytes(size))


SOUND = entry([1, 4], 0, 16), entry([4, 1], 16, 32)
LIES = {
    "longer than the file": written({}, length=1000),
    "2^63 long": written(b"{}", length=1 << 63),
    "2^64 - 1 long": written(b"{}", length=(1 << 64) - 1),
    "longer than memory, within bounds": written(b"{}", length=99_000_000),
    "empty": b"",
    "seven bytes": b"\x08\0\0\0\0\0\0",
    "no tensors": written({}),
    "negative offsets": pair(entry([1, 4], -16, 0), SOUND[1], 32),
    "offsets the wrong way round": pair(entry([1, 4], 16, 0), SOUND[1], 32),
    "overlapping offsets": pair(SOUND[0], entry([4, 1], 0, 16), 16),
    "offsets with a hole": pair(SOUND[0], entry([4, 1], 32, 48), 48),
    "offsets beyond the file": pair(SOUND[0], entry([4, 1], 16, 1 << 40), 32),
    "offsets beyond 64 bits": pair(SOUND[0], entry([4, 1], 16, 1 << 70), 32),
    "a body that is cut": pair(*SOUND, 31),
    "a body that is too long": pair(*SOUND, 33),
    "a shape beyond memory": pair(entry([1 << 62, 1 << 62], 0, 16), SOUND[1], 32),
    "a type that is none": pair(entry([1, 4], 0, 16, "F99"), SOUND[1], 32),
    "a type that is a number": pair(entry([1, 4], 0, 16, 7), SOUND[1], 32),
    "header is a list": written([1, 2]),
    "header is null": written(b"null"),
    "header is a text": written("x"),
    "header is no JSON": written(b"{{{{"),
    "header is no UTF-8": written(b'{"\xff": 1}'),
    "header of 100,000 lists": written(b"[" * 100_000),
    "header of 50,000 objects": written(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "metadata of 50,000 objects": written(b'{"__metadata__":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001),
    "metadata of numbers": written({"__metadata__": {"a": 1}}),
    "half a character as key": written(
        b'{"\\ud800": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', bytes(4)
    ),
    "a pickle": pickle.dumps({"a": 1}),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
}
NO_LORA = {
    "whole numbers": (pair(entry([1, 4], 0, 32, "I64"), entry([4, 1], 32, 64, "I64"), 64), "got I64 at"),
    "truth values": (pair(entry([1, 4], 0, 4, "BOOL"), entry([4, 1], 4, 8, "BOOL"), 8), "got BOOL at"),
    "four bits": (pair(entry([1, 4], 0, 2, "F4"), entry([4, 1], 2, 4, "F4"), 4), "got F4 at"),
    "complex numbers": (pair(entry([1, 4], 0, 32, "C64"), entry([4, 1], 32, 64, "C64"), 64), "got C64 at"),
    "a number for a matrix": (pair(entry([], 0, 4), entry([4, 1], 4, 20), 20), "shape [] at"),
    "three dimensions": (pair(entry([1, 4, 1], 0, 16), SOUND[1], 32), "shape [1, 4, 1] at"),
    "no rows": (pair(entry([0, 4], 0, 0), entry([4, 0], 0, 0)), "shape [0, 4] at"),
    "2^40 rows of nothing": (pair(entry([1 << 40, 0], 0, 0), entry([0, 1 << 40], 0, 0)), "1099511627776, 0] at"),
    "two ranks": (pair(entry([2, 4], 0, 32), entry([4, 3], 32, 80), 80), "of one rank, got shapes [2, 4] and [4, 3]"),
    "an alpha of three numbers": (pair(*SOUND, 44, **{"unet.a.alpha": entry([3], 32, 44)}), "one number for each"),
    "a key of a million letters": (written({"k" * 10**6: entry([1], 0, 4)}, bytes(4)), "got only others, such as 'kkk"),
    "a key of two lines": (written({"a\nb": entry([1], 0, 4)}, bytes(4)), "such as 'a\\nb'"),
    **{
        f"an alpha of {what}": (pair(*SOUND, 32, {"lora_adapter_metadata": f'{{"unet.lora_alpha": {text}}}'}), words)
        for what, text, words in (
            ("letters", '"x"', "must have finite alphas, got 'x'"),
            ("400 digits", "1" + "0" * 400, "must have finite alphas, got 1000"),
            ("5,000 digits", "1" + "0" * 5000, "must come with JSON as its lora_adapter_metadata"),
            ("infinity", "Infinity", "must have finite alphas, got inf"),
            ("no number", "NaN", "must have finite alphas, got nan"),
            ("lists without end", "[" * 50_000, "must come with JSON as its lora_adapter_metadata"),
        )
    },
    "settings that are a list": (pair(*SOUND, 32, {"lora_adapter_metadata": "[1]"}), "a JSON object"),
}  # fmt: skip


@pytest.fixture
def put(tmp_path):
    def kept(content, name="lora.safetensors"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return kept


@pytest.mark.parametrize("content", LIES.values(), ids=LIES)
def test_a_lora_file_that_lies_is_one_sentence(put, content):
    found = told(lambda: audit(read_lora(put(content))))
    (sentence,) = found.values()
    assert sentence.startswith("lora.safetensors must ")


@pytest.mark.parametrize(("content", "words"), NO_LORA.values(), ids=NO_LORA)
def test_a_sound_file_that_is_no_lora_says_what_it_is(put, content, words):
    (sentence,) = told(lambda: audit(read_lora(put(content)))).values()
    assert sentence.startswith("lora.safetensors must ")
    assert words in sentence


def test_the_sound_one_among_them_is_audited(put):
    found = audit(read_lora(put(pair(*SOUND, 32))))
    assert (found.modules, found.norm) == (1, 0.0)


@pytest.mark.parametrize(("rank", "into", "out"), [(3, 5, 4), (64, 2, 3), (2, 1, 9), (1, 1, 1)])
def test_the_norm_is_the_same_by_either_way(rank, into, out):
    generator = torch.Generator().manual_seed(0)
    down, up = torch.randn(rank, into, generator=generator), torch.randn(out, rank, generator=generator)
    assert math.isclose(update_norm(down, up, 0.5), 0.5 * (up @ down).norm().item(), rel_tol=1e-5)


def test_a_rank_of_a_million_takes_no_memory_of_its_square(put):
    wide = 1 << 20
    data = {DOWN: torch.ones(wide, 1), UP: torch.ones(1, wide)}
    path = put(b"")
    save_file(data, path)
    assert audit(read_lora(path)).norm == pytest.approx(wide)


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero", "loop", "nothing", "a folder", "a name of 300 letters"])
def test_what_is_no_file_is_no_lora(tmp_path, kind):
    path = tmp_path / ("a" * 300 if "letters" in kind else "a")
    path = path.with_name(f"{path.name}.safetensors")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind in ("loop", "/dev/zero"):
        path.symlink_to(path if kind == "loop" else kind)
    (sentence,) = told(lambda: read_lora(path)).values()
    assert "must be a file that exists" in sentence or "folder without them" in sentence


def test_the_settings_beside_a_peft_file_can_be_no_pipe(put, tmp_path):
    path = put(pair(*SOUND, 32), "adapter_model.safetensors")
    os.mkfifo(tmp_path / "adapter_config.json")
    (sentence,) = told(lambda: read_lora(path)).values()
    assert "adapter_config.json must be a readable file" in sentence


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.bin", "a.pth", "a.pkl", "a", "a.safetensors", "A.SAFETENSORS"])
def test_a_pickle_is_refused_whatever_its_name(put, tmp_path, name):
    path = put(pickle.dumps(Trap(tmp_path / "sprung")), name)
    told(lambda: read_lora(path))
    assert not (tmp_path / "sprung").exists()


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


@pytest.mark.usefixtures("one_thread")
def test_a_lora_of_sound_lies_is_not_loaded(bases, put):
    family = StableDiffusion.load(str(bases["v_prediction"]))
    lora = read_lora(put(pair(*SOUND, 32)))
    (sentence,) = told(lambda: load_lora(lora, family)).values()
    assert "must belong to a module of the base model's unet" in sentence
