"""LoRA files that lie: one sentence each, nothing run."""

import math
import os
import pickle

import pytest
import torch
from hostile_input import told
from lying_weights import DOWN, LIES, SOUND, UP, Trap, entry, pair, written
from safetensors.torch import save_file

from core.models.lora_file import read_lora
from core.models.lora_fit import audit, load_lora, update_norm
from core.models.stable_diffusion import StableDiffusion

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


@pytest.mark.parametrize("name", ["a.ckpt", "a.pt", "a.bin", "a.pth", "a.pkl", "a", "a.safetensors", "A.SAFETENSORS"])
def test_a_pickle_is_refused_whatever_its_name(put, tmp_path, name):
    path = put(pickle.dumps(Trap(tmp_path / "sprung")), name)
    told(lambda: read_lora(path))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.usefixtures("one_thread")
def test_a_lora_of_sound_lies_is_not_loaded(bases, put):
    family = StableDiffusion.load(str(bases["v_prediction"]))
    lora = read_lora(put(pair(*SOUND, 32)))
    (sentence,) = told(lambda: load_lora(lora, family)).values()
    assert "must belong to a module of the base model's unet" in sentence
