"""LoRA files: what is in them, and one sentence about what is none."""

import json
import math
import pickle
import struct
from pathlib import Path

import pytest
import torch
from lora_files import rewritten, trained_file
from safetensors.torch import load_file, save_file

from core.errors import DataError
from core.models.lora_audit import Audit
from core.models.lora_file import read_lora
from core.models.lora_fit import audit, update_norm
from core.runs.files import parse_object, to_json

__all__ = ["trained_file"]


def test_a_trained_file_is_told_as_it_is(trained_file):
    found = audit(read_lora(trained_file))
    assert (found.format, set(found.parts), set(found.ranks), set(found.alphas)) == (
        "diffusers",
        {"unet"},
        {"2"},
        {"1"},
    )
    assert found.modules == sum(found.parts.values()) == len(load_file(trained_file)) / 2
    assert (found.size, set(found.dtypes)) == (trained_file.stat().st_size, {"F32"})
    assert found.metadata["rollout_steps"] == "3"
    assert (found.zero, found.non_finite, found.unknown) == ((), (), ())


def test_the_norm_is_that_of_the_whole_change(trained_file):
    tensors = load_file(trained_file)
    dense = {
        key.removesuffix(".lora_A.weight"): 0.5
        * (tensors[key.replace("lora_A", "lora_B")].flatten(1) @ tensors[key].flatten(1)).norm().item()
        for key in tensors
        if "lora_A" in key
    }
    found = audit(read_lora(trained_file), largest=len(dense))
    assert {update.module: update.norm for update in found.largest} == pytest.approx(dense, rel=1e-4)
    norms = [update.norm for update in found.largest]
    assert norms == pytest.approx(sorted(dense.values(), reverse=True), rel=1e-4)
    assert found.norm == pytest.approx(math.sqrt(sum(norm**2 for norm in dense.values())), rel=1e-4)
    assert update_norm(torch.eye(3), torch.zeros(2, 3), 1.0) == 0


def test_the_audit_reads_back(trained_file):
    found = audit(read_lora(trained_file))
    data = parse_object(to_json(found.__dict__ | {"largest": [update.__dict__ for update in found.largest]}).encode())
    assert Audit.from_dict(data) == found
    with pytest.raises(ValueError):
        Audit.from_dict({**data, "ranks": [1]})


def test_an_alpha_pattern_and_rslora_of_a_peft_folder_count(trained_file, tmp_path):
    path = tmp_path / "adapter_model.safetensors"
    rewritten(trained_file, path, lambda key, tensor: ("base_model.model." + key.removeprefix("unet."), tensor))
    options = {"r": 2, "lora_alpha": 1.0, "alpha_pattern": {"to_q": 4.0}, "use_rslora": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(options))
    scales = {module.name.rpartition(".")[2]: module.scale for module in read_lora(path).modules}
    assert scales["to_q"] == pytest.approx(4 / math.sqrt(2))
    assert scales["to_k"] == pytest.approx(1 / math.sqrt(2))


def test_broken_and_empty_modules_are_named(trained_file, tmp_path):
    ups = [key for key in load_file(trained_file) if "lora_B" in key]

    def spoil(key, tensor):
        return key, tensor * (math.nan if key == ups[0] else 0.0 if key == ups[1] else 1.0)

    found = audit(read_lora(rewritten(trained_file, tmp_path / "bad.safetensors", spoil)))
    assert found.non_finite == (ups[0],)
    assert found.zero == (ups[1].removesuffix(".lora_B.weight"),)
    assert math.isnan(found.norm)
    assert all(math.isfinite(update.norm) for update in found.largest)


def test_what_trainers_say_is_kept_and_cut(trained_file, tmp_path):
    said = {"ss_learning_rate": "1e-4", "ss_tag_frequency": "x" * 5000, "modelspec.title": "mine", "secret": "no"}
    path = rewritten(trained_file, tmp_path / "said.safetensors", lambda key, tensor: (key, tensor), said)
    metadata = audit(read_lora(path)).metadata
    assert set(metadata) == {"ss_learning_rate", "ss_tag_frequency", "modelspec.title"}
    assert metadata["ss_learning_rate"] == "1e-4"
    assert "5000 characters" in metadata["ss_tag_frequency"]
    assert len(metadata["ss_tag_frequency"]) < 300


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["lora.bin", "lora.ckpt", "lora.pt", "lora.safetensors"])
def test_a_pickle_is_refused_and_never_opened(tmp_path, name):
    path, sprung = tmp_path / name, tmp_path / "sprung"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(DataError, match=name) as caught:
        read_lora(path)
    assert len(str(caught.value).splitlines()) == 1
    assert not sprung.exists()


def header(facts):
    text = json.dumps(facts).encode()
    return struct.pack("<Q", len(text)) + text


LIES = {
    "longer": struct.pack("<Q", 1 << 60) + b"{}",
    "empty": b"",
    "no-json": struct.pack("<Q", 4) + b"{{{{",
    "beyond": header({"unet.a.lora_A.weight": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 1 << 30]}}),
    "shape": header({"unet.a.lora_A.weight": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 16]}}) + bytes(16),
    "nothing": header({}),
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_a_lying_header_is_one_sentence(tmp_path, data):
    path = tmp_path / "lies.safetensors"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"lies\.safetensors must") as caught:
        read_lora(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_cut_file_is_one_sentence(trained_file, tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(trained_file.read_bytes()[:-100])
    with pytest.raises(DataError, match="whole safetensors file"):
        read_lora(path)


def test_files_that_are_none_are_refused(tmp_path):
    save_file({"weight": torch.ones(2)}, tmp_path / "network.safetensors")
    with pytest.raises(DataError, match="such as 'weight'"):
        read_lora(tmp_path / "network.safetensors")
    with pytest.raises(DataError, match="exists"):
        read_lora(tmp_path / "gone.safetensors")
    with pytest.raises(DataError, match="folder"):
        read_lora(tmp_path)
    save_file(
        {"unet.a.lora_A.weight": torch.ones(0, 2), "unet.a.lora_B.weight": torch.ones(2, 0)},
        tmp_path / "r0.safetensors",
    )
    with pytest.raises(DataError, match="rank"):
        read_lora(tmp_path / "r0.safetensors")
