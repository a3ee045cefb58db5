"""Single files of SD 2.x, SDXL, SD 3 and FLUX.1: what their folders are, bit for bit, or one sentence."""

import shutil
from types import FunctionType

import pytest
import torch
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from safetensors.torch import load_file, save_file
from single_files import save_single_file
from tiny_families import CLASSES, clip
from tiny_runs import ROLLOUT, SIDE, run, same_bits
from transformers import CLIPTextModel, CLIPTokenizer

from core.errors import DataError
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder
from core.samples.load import load_finished

FAMILIES = sorted(CLASSES)
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
REAL_WIDTH = 3072


@pytest.fixture(autouse=True)
def flux_of_any_width(family_bases, monkeypatch):
    """diffusers' converter has the width of the real FLUX.1 written into it; here it is the tiny network's."""
    width = CLASSES["flux"].load(str(family_bases["flux"])).network.inner_dim
    entry = SINGLE_FILE_LOADABLE_CLASSES["FluxTransformer2DModel"]
    convert = entry["checkpoint_mapping_fn"]
    constants = convert.__code__.co_consts
    assert REAL_WIDTH in constants
    code = convert.__code__.replace(co_consts=tuple(width if each == REAL_WIDTH else each for each in constants))
    monkeypatch.setitem(entry, "checkpoint_mapping_fn", FunctionType(code, convert.__globals__))


def parts_of(loaded):
    names = (loaded.part, "vae", *loaded.encoders)
    return {name: getattr(loaded.pipeline, name).state_dict() for name in names}


def assert_same(first, second):
    first, second = parts_of(first), parts_of(second)
    assert first.keys() == second.keys()
    assert all(same_bits(first[name], second[name]) for name in first)


def refused(kind, file, folder) -> str:
    with pytest.raises(DataError) as caught:
        kind.load(str(file), single_file_config=str(folder))
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"{problem.option} must ")
    return problem.message


def change(file, path, changes):
    tensors = load_file(file)
    changes(tensors)
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("without", [(), ENCODERS, (*ENCODERS, "vae")], ids=["whole", "no encoders", "network alone"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_is_what_its_folder_is(family, family_bases, tmp_path, without):
    folder, kind = family_bases[family], CLASSES[family]
    file = save_single_file(folder, tmp_path / "cats.safetensors", without=without)
    lean = shutil.copytree(folder, tmp_path / "lean")
    for path in lean.rglob("*.safetensors"):
        if path.parent.name not in without:  # what the file holds need not be in the folder
            path.unlink()
    assert_same(kind.load(str(file), single_file_config=str(lean)), kind.load(str(folder)))


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_single_file_in_half_precision_is_what_its_folder_is(family, family_bases, tmp_path, precision):
    folder, kind = family_bases[family], CLASSES[family]
    file = save_single_file(folder, tmp_path / "cats.safetensors")
    single = kind.load(str(file), single_file_config=str(folder), precision=precision)
    assert_same(single, kind.load(str(folder), precision=precision))


def test_a_flux_transformer_alone_may_have_bare_names(family_bases, tmp_path):
    folder = family_bases["flux"]
    file = save_single_file(folder, tmp_path / "cats.safetensors", without=(*ENCODERS, "vae"), bare=True)
    assert "double_blocks.0.img_attn.qkv.weight" in load_file(file)
    assert_same(CLASSES["flux"].load(str(file), single_file_config=str(folder)), CLASSES["flux"].load(str(folder)))


def test_the_openclip_encoder_of_sd_2_is_read_without_its_last_layer(bases, tmp_path):
    folder = shutil.copytree(bases["v_prediction"], tmp_path / "folder")
    shutil.rmtree(folder / "text_encoder")
    config = clip(CLIPTokenizer.from_pretrained(folder / "tokenizer"))
    config.num_hidden_layers = 23
    torch.manual_seed(0)
    CLIPTextModel(config).save_pretrained(folder / "text_encoder")
    file = save_single_file(folder, tmp_path / "cats.safetensors")
    assert "cond_stage_model.model.transformer.resblocks.23.ln_1.weight" in load_file(file)
    assert_same(StableDiffusion.load(str(file), single_file_config=str(folder)), StableDiffusion.load(str(folder)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("what", ["one lacks", "one too many"])
def test_a_network_that_the_folder_does_not_describe_is_told(family, family_bases, tmp_path, what):
    def changes(tensors):
        own = sorted(name for name in tensors if name.startswith("model.diffusion_model.") and name.endswith(".bias"))
        if what == "one lacks":
            del tensors[own[-1]]
        else:
            tensors["model.diffusion_model.more.bias"] = torch.zeros(3)

    file = save_single_file(family_bases[family], tmp_path / "cats.safetensors")
    message = refused(CLASSES[family], change(file, tmp_path / "other.safetensors", changes), family_bases[family])
    assert "have the weights that single_file_config describes" in message


def test_a_file_with_one_of_two_encoders_is_told(family_bases, tmp_path):
    """diffusers reads SDXL's first encoder only beside its second."""
    file = save_single_file(family_bases["sdxl"], tmp_path / "cats.safetensors", without=("text_encoder_2",))
    assert "be a single file in its original layout" in refused(CLASSES["sdxl"], file, family_bases["sdxl"])


def test_a_projection_that_diffusers_replaces_is_told(family_bases, tmp_path):
    name, folder = "text_encoders.clip_l.transformer.text_projection.weight", family_bases["sd3"]
    file = save_single_file(folder, tmp_path / "cats.safetensors")
    same = change(file, tmp_path / "same.safetensors", lambda tensors: tensors.update({name: torch.eye(8)}))
    CLASSES["sd3"].load(str(same), single_file_config=str(folder))
    other = change(file, tmp_path / "other.safetensors", lambda tensors: tensors.update({name: torch.ones(8, 8)}))
    assert name in refused(CLASSES["sd3"], other, folder)


def test_the_folder_of_another_family_is_told(family_bases, tmp_path):
    file = save_single_file(family_bases["sd3"], tmp_path / "cats.safetensors")
    assert refused(CLASSES["flux"], file, family_bases["sd3"]).startswith("single_file_config must be a FluxPipeline")
    assert "single_file_config describes" in refused(CLASSES["flux"], file, family_bases["flux"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_training_on_a_single_file_ends_in_a_lora_on_it(family, config, family_bases, runs_dir, one_thread, tmp_path):
    file = save_single_file(family_bases[family], tmp_path / "cats.safetensors")
    told = {"family": family, "single_file_config": str(family_bases[family])}
    folder = RunFolder.create(runs_dir, "single", config(file, resolution=SIDE, **told, **ROLLOUT))
    run(folder)
    assert load_finished(folder).network.peft_config
