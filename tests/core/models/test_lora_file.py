"""LoRA files: what is in them, what does not fit a base, and that one is loaded as diffusers does it."""

import json
import math
import pickle
import struct
from pathlib import Path

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import nn

from core.errors import DataError
from core.models.lora_audit import Audit
from core.models.lora_file import read_lora
from core.models.lora_fit import (
    LISTED,
    audit,
    load_lora,
    misfits,
    missing_parts,
    unload_lora,
    update_norm,
    without_lora,
)
from core.models.stable_diffusion import StableDiffusion
from core.runs.files import parse_object, to_json

ENDINGS = ("to_q", "to_out.0", "conv1", "proj_in", "q_proj", "out_proj", "fc1", "fc2")


@pytest.fixture
def family(one_thread, bases):
    return StableDiffusion.load(str(bases["v_prediction"]))


@pytest.fixture
def trained_file(trained):
    """Of a real training with alpha = rank / 2, so that the scale counts."""
    return trained(lora_alpha=1.0, rank=2, lora_dropout=0.5).adapter_dir / "pytorch_lora_weights.safetensors"


def seen(family):
    """What the base model makes of a prompt and a state."""
    condition = family.encode_prompts(["a sks cat"])
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(1, 4, 8, 8, generator=generator)
    with torch.no_grad():
        return condition, family.predict(family.network, noisy, torch.tensor([500.0]), condition)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def matrices(family, *, rank=2, text=True):
    """A random LoRA as ((part, module name), A, B), on linear and convolution layers."""
    generator = torch.Generator().manual_seed(5)
    parts = {"unet": family.network, **({"text_encoder": family.pipeline.text_encoder} if text else {})}
    for part, root in parts.items():
        for name, module in root.named_modules():
            if name.endswith(ENDINGS):
                out, *into = module.weight.shape
                down = 0.3 * torch.randn(rank, *into, generator=generator)
                up = 0.3 * torch.randn(out, rank, *[1] * (len(into) - 1), generator=generator)
                yield part, name, down, up


def kohya(family, path, *, alpha=1.0, prefix="", **more):
    """A file with kohya's keys."""
    tensors = {}
    starts = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}
    for part, name, down, up in matrices(family):
        stem = starts[part] + prefix + name.replace(".", "_")
        tensors |= {
            f"{stem}.lora_down.weight": down,
            f"{stem}.lora_up.weight": up,
            f"{stem}.alpha": torch.tensor(alpha),
        }
    save_file({**tensors, **more}, path)
    return path


def rewritten(source, path, change, metadata=None):
    """A file whose tensors were changed key by key; None leaves a key out."""
    tensors = {}
    for key, tensor in load_file(source).items():
        found = change(key, tensor)
        if found is not None:
            tensors[found[0]] = found[1].contiguous()
    save_file(tensors, path, metadata=metadata)
    return path


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
    assert [update.norm for update in found.largest] == sorted(dense.values(), reverse=True) or found.largest[
        0
    ].norm > 0
    assert found.norm == pytest.approx(math.sqrt(sum(norm**2 for norm in dense.values())), rel=1e-4)
    assert update_norm(torch.eye(3), torch.zeros(2, 3), 1.0) == 0


def test_the_audit_reads_back(trained_file):
    found = audit(read_lora(trained_file))
    data = parse_object(to_json(found.__dict__ | {"largest": [update.__dict__ for update in found.largest]}).encode())
    assert Audit.from_dict(data) == found
    with pytest.raises(ValueError):
        Audit.from_dict({**data, "ranks": [1]})


def test_a_loaded_file_does_what_diffusers_makes_of_it(family, trained_file):
    base = seen(family)
    load_lora(read_lora(trained_file), family)
    ours = seen(family)
    unload_lora(family)
    family.pipeline.load_lora_weights(trained_file.parent, use_safetensors=True)
    family.network.eval()
    torch.testing.assert_close(ours[1], seen(family)[1])
    assert not torch.equal(ours[1], base[1])


def test_a_kohya_file_changes_network_and_text_encoder_as_diffusers_has_it(family, tmp_path):
    path, base = kohya(family, tmp_path / "kohya.safetensors"), seen(family)
    lora = read_lora(path)
    assert (lora.format, {module.alpha for module in lora.modules}) == ("kohya", {1.0})
    load_lora(lora, family)
    ours = seen(family)
    unload_lora(family)
    family.pipeline.load_lora_weights(str(path), use_safetensors=True)
    for own, theirs, before in zip(ours, seen(family), base, strict=True):
        torch.testing.assert_close(own, theirs)
        assert not torch.equal(own, before)


def test_a_peft_folder_brings_its_alpha(family, trained_file, tmp_path):
    folder = tmp_path / "peft"
    folder.mkdir()
    path = folder / "adapter_model.safetensors"
    rewritten(trained_file, path, lambda key, tensor: ("base_model.model." + key.removeprefix("unet."), tensor))
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 1.0}))
    lora = read_lora(folder)
    assert (lora.format, {module.scale for module in lora.modules}) == ("peft", {0.5})
    load_lora(lora, family)
    ours = seen(family)
    unload_lora(family)
    load_lora(read_lora(trained_file), family)
    assert same(ours, seen(family))


def test_an_alpha_pattern_and_rslora_of_a_peft_folder_count(trained_file, tmp_path):
    path = tmp_path / "adapter_model.safetensors"
    rewritten(trained_file, path, lambda key, tensor: ("base_model.model." + key.removeprefix("unet."), tensor))
    options = {"r": 2, "lora_alpha": 1.0, "alpha_pattern": {"to_q": 4.0}, "use_rslora": True}
    (tmp_path / "adapter_config.json").write_text(json.dumps(options))
    scales = {module.name.rpartition(".")[2]: module.scale for module in read_lora(path).modules}
    assert scales["to_q"] == pytest.approx(4 / math.sqrt(2))
    assert scales["to_k"] == pytest.approx(1 / math.sqrt(2))


def test_without_its_adapter_the_base_is_as_it_was_bit_for_bit(family, tmp_path):
    base = seen(family)
    load_lora(read_lora(kohya(family, tmp_path / "kohya.safetensors")), family)
    adapted = seen(family)
    with without_lora(family):
        assert same(seen(family), base)
    assert same(seen(family), adapted)
    unload_lora(family)
    assert same(seen(family), base)
    assert not any(isinstance(module, BaseTunerLayer) for module in family.network.modules())


def test_dropout_of_the_training_is_off_when_a_file_is_loaded(family, trained_file):
    load_lora(read_lora(trained_file), family)
    assert same(seen(family), seen(family))


def test_keys_of_another_base_are_named_and_nothing_is_loaded(family, tmp_path):
    lora = read_lora(kohya(family, tmp_path / "foreign.safetensors", prefix="foreign_"))
    with pytest.raises(DataError) as caught:
        load_lora(lora, family)
    lines = str(caught.value).splitlines()
    assert len(lines) == LISTED + 1
    assert lines[0].startswith(lora.modules[0].down)
    assert lines[-1].startswith(f"{len(lora.modules) - LISTED} more keys")
    assert not any(isinstance(module, BaseTunerLayer) for module in family.network.modules())


def test_wrong_shapes_are_named_with_both_shapes(family, trained_file, tmp_path):
    def wider(key, tensor):
        return key, torch.cat([tensor, tensor], -1) if key.endswith("attn1.to_q.lora_A.weight") else tensor

    lora = read_lora(rewritten(trained_file, tmp_path / "wide.safetensors", wider))
    problems = [str(problem) for problem in misfits(lora, family)]
    wrong = [module for module in lora.modules if module.name.endswith("attn1.to_q")]
    assert len(problems) == len(wrong) > 0
    for problem, module in zip(problems, wrong, strict=True):
        assert problem.startswith(module.down)
        rank, into = module.down_shape
        assert f"shape {rank} × {into // 2}, got {rank} × {into}" in problem


def test_a_module_that_takes_no_lora_is_named(family, tmp_path):
    norm = next(name for name, module in family.network.named_modules() if isinstance(module, nn.GroupNorm))
    path = tmp_path / "norm.safetensors"
    save_file({f"unet.{norm}.lora_A.weight": torch.ones(1, 8), f"unet.{norm}.lora_B.weight": torch.ones(8, 1)}, path)
    (problem,) = misfits(read_lora(path), family)
    assert "GroupNorm" in str(problem)


@pytest.mark.parametrize("key", ["unet.conv_in.dora_scale", "lora_unet_conv_in.hada_w1_a", "unet.x.lora_A.weight"])
def test_what_is_no_part_of_a_plain_lora_is_named(family, trained_file, tmp_path, key):
    path = tmp_path / "more.safetensors"
    save_file({**load_file(trained_file), key: torch.ones(1, 1)}, path)
    lora = read_lora(path)
    assert audit(lora).unknown == (key,)
    (problem,) = misfits(lora, family)
    assert str(problem).startswith(key)


def test_a_part_that_the_base_lacks_is_said_and_left_out(family, tmp_path):
    second = {
        "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(1, 4),
        "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(4, 1),
    }
    lora = read_lora(kohya(family, tmp_path / "two.safetensors", **second))
    assert missing_parts(lora, family) == ("text_encoder_2",)
    assert misfits(lora, family) == ()
    load_lora(lora, family)
    save_file(second, tmp_path / "other.safetensors")
    with pytest.raises(DataError, match="text_encoder_2 alone"):
        load_lora(read_lora(tmp_path / "other.safetensors"), family)


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
