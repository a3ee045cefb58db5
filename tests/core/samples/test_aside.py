"""Text encoders and autoencoder take no memory while nothing calls them, and encode and draw as if they did."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from PIL import Image
from tiny_runs import run
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef

from core.errors import RunError
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder
from core.samples.aside import Aside, set_aside

MEBIBYTE = 2**20


def weights(part: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in [*part.named_parameters(), *part.named_buffers()]}


def resident(folder):
    """Bytes in memory of the nameless files of a folder that this process maps, and those that no file stands behind.

    Only what is mapped is looked at: what else the process holds, and what the machine does, has no part in it.
    """
    found, ours = {"Rss": 0, "Private_Dirty": 0, "Anonymous": 0}, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours = str(folder) in line and line.endswith("(deleted)")
        elif ours and (name := line.partition(":")[0]) in found:
            found[name] += int(line.split()[1]) * 1024
    return found["Rss"], found["Private_Dirty"] + found["Anonymous"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what is resident")
def test_a_part_gives_its_memory_back_and_takes_it_again_for_a_call_only(tmp_path):
    part = nn.Sequential(*(nn.Linear(2048, 2048, bias=False) for _ in range(4))).requires_grad_(False)  # 16 MiB each
    before = [StorageWeakRef(parameter.untyped_storage()) for parameter in part.parameters()]
    aside = Aside(part, torch.device("cpu"), tmp_path)
    aside.leave()
    assert all(storage.expired() for storage in before)
    assert resident(tmp_path)[0] < 4 * MEBIBYTE
    part(torch.ones(1, 2048))
    assert resident(tmp_path) == (pytest.approx(64 * MEBIBYTE, rel=0.05), 0)  # read, and the kernel may drop it
    aside.leave()
    assert resident(tmp_path)[0] < 4 * MEBIBYTE
    assert not list(tmp_path.iterdir())  # the file has no name


def test_a_part_comes_with_what_it_is_given_keeps_its_tensors_and_goes_back(tmp_path):
    part = nn.Linear(3, 2).requires_grad_(False)
    before, bias = weights(part), part.bias
    family = SimpleNamespace(pipeline=SimpleNamespace(components={"part": part, "tokenizer": object()}), network=None)
    device = torch.device("cpu")
    set_aside(family, device, tmp_path)
    mapped = part.weight.data_ptr()
    with patch("core.samples.aside.send_to_device", side_effect=lambda given, to: given) as sent:
        part(torch.ones(1, 3))
    assert [call.args[1] for call in sent.call_args_list] == [device, device]
    assert part._hf_hook.execution_device == device  # where diffusers looks
    assert part.weight.data_ptr() != mapped
    assert all(value.equal(before[name]) for name, value in weights(part).items())
    assert part.bias is bias  # a tied weight goes on being one


def test_an_adapter_that_came_later_comes_along(tmp_path):
    part = nn.Sequential(nn.Linear(3, 2))
    aside = Aside(part, torch.device("cpu"), tmp_path)
    aside.leave()
    part.append(nn.Linear(2, 2))
    moved, plain = [], torch.Tensor.to
    with patch.object(torch.Tensor, "to", lambda tensor, *to: (moved.append(tensor.shape), plain(tensor, *to))[1]):
        aside.pre_forward(part)
    assert {each.shape for each in part.parameters()} <= set(moved)


def test_what_is_trained_is_not_put_aside(tmp_path):
    part = nn.Linear(3, 2)
    family = SimpleNamespace(pipeline=SimpleNamespace(components={"part": part}), network=None)
    set_aside(family, torch.device("cpu"), tmp_path, kept={"part"})
    assert not hasattr(part, "_hf_hook")
    part(torch.ones(1, 3)).sum().backward()
    assert part.weight.grad is not None


def test_encoding_and_drawing_are_the_same_from_aside(bases, tmp_path):
    plain, aside = (StableDiffusion.load(str(bases["epsilon"])) for _ in range(2))
    set_aside(aside, torch.device("cpu"), tmp_path)
    picture = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)
    for _ in range(2):  # a part that has left once comes again
        assert aside.encode_pictures(picture).equal(plain.encode_pictures(picture))
        assert aside.encode_prompts(["a cat"]).equal(plain.encode_prompts(["a cat"]))
        drawn = [f.sample(["a cat"], [1], steps=2, guidance=2.0, size=16, on_step=int) for f in (plain, aside)]
        assert drawn[0].equal(drawn[1])
        assert aside.decode(drawn[1]).equal(plain.decode(drawn[0]))


def test_a_run_draws_class_and_validation_pictures_and_scores_as_if_nothing_left(
    one_thread, config, runs_dir, monkeypatch
):
    options = {
        "validation_prompts": ("a sks cat",), "drift_samples": 2, "drift_pairs": 2, "max_train_steps": 1,
        "with_prior_preservation": True, "class_prompt": "a cat", "validation_num_inference_steps": 3,
    }  # fmt: skip
    aside = RunFolder.create(runs_dir, "aside", config(**options))
    run(aside)
    there = RunFolder.create(runs_dir / "other" / "runs", "there", config(**options))
    with patch("core.training.build.set_aside", lambda family, device, folder, **named: family.pipeline.to(device)):
        run(there)
    pictures = [sorted(folder.samples_dir.rglob("*.png")) for folder in (aside, there)]
    assert len(pictures[0]) == 2
    assert [Image.open(path).tobytes() for path in pictures[0]] == [Image.open(path).tobytes() for path in pictures[1]]


def test_no_room_on_the_disk_is_said_before_anything_is_written(tmp_path):
    part = nn.Linear(3, 2)
    with patch("core.runs.room.RESERVE", 2**60), pytest.raises(RunError, match="text encoders and autoencoder"):
        Aside(part, torch.device("cpu"), tmp_path)
