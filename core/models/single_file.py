"""A Stable Diffusion 1.x model in one ``.safetensors`` file, in the layout of its original code.

diffusers renames the tensors. A diffusers folder lends what the file does not hold: configurations, scheduler,
tokenizer, and the text encoder where the file has none.
"""

import os

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors import safe_open
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from core.models.loading import check_folder, check_weights, reading, refused

OPTION = "single_file_config"
PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text_encoder": "cond_stage_model."}
"""How the names of a part's tensors begin."""
CLIP = PREFIXES["text_encoder"] + "transformer.text_model."
"""The same in files of SD 1.x; SD 2.x has another text encoder."""
ADVICE = "take another file or another single_file_config, or save the model as a diffusers folder"


def load_single_file(path: str, folder: str) -> StableDiffusionPipeline:
    """Reads a single file in float32; its plain weights where it has averaged ones (EMA) too.

    Args:
        path: of the file.
        folder: in diffusers' layout, of a model of the same kind.

    Raises:
        DataError: the file is no such model, is torn or lacks weights, or the folder does not go with it.
    """
    if not os.path.isfile(path):
        raise refused(f"be a file that exists, got {path!r}; check the path")
    if not os.path.isdir(folder):
        raise refused(f"be a diffusers folder that exists, got {folder!r}; check the path", OPTION)
    check_folder(folder, StableDiffusionPipeline.__name__, [*PREFIXES, "tokenizer", "scheduler"], option=OPTION)
    rule = f"be a single file of SD 1.x in its original layout that goes with {folder!r}, got {path!r}"
    with reading(rule, ADVICE):
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
        _check_names(names, _described(folder), path)
        pipeline = StableDiffusionPipeline.from_single_file(
            path, config=folder, local_files_only=True, dtype=torch.float32, safety_checker=None,
            requires_safety_checker=False, feature_extractor=None, image_encoder=None,
            **({} if _has_text_encoder(names) else {"text_encoder": _lent(folder)}),
        )  # fmt: skip
    for name in PREFIXES:
        weights = getattr(pipeline, name).state_dict()
        empty = [key for key, tensor in weights.items() if tensor.is_meta]
        if empty:
            raise refused(f"{rule}, whose {name} lacks {len(empty)} tensors, such as {empty[0]}; {ADVICE}")
        # off the mapped file: its tensors lie at odd places, and the last bits of a product depend on where they lie
        getattr(pipeline, name).load_state_dict({key: tensor.clone() for key, tensor in weights.items()}, assign=True)
    return pipeline


def _lent(folder: str) -> CLIPTextModel:
    """The folder's own text encoder."""
    encoder = CLIPTextModel.from_pretrained(
        folder, subfolder="text_encoder", dtype=torch.float32, use_safetensors=True, local_files_only=True
    )
    check_weights({"text_encoder": encoder}, folder, OPTION)
    return encoder


def _described(folder: str) -> dict[str, nn.Module]:
    """The parts as the folder describes them, without weights."""
    with init_empty_weights():
        return {
            "unet": UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder, subfolder="unet")),
            "vae": AutoencoderKL.from_config(AutoencoderKL.load_config(folder, subfolder="vae")),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(folder, subfolder="text_encoder")),
        }


def _has_text_encoder(names: list[str]) -> bool:
    return any(key.startswith(PREFIXES["text_encoder"]) for key in names)


def _check_names(names: list[str], parts: dict[str, nn.Module], path: str) -> None:
    """Refuses what diffusers would pass over: tensors that the folder's parts lack, parts that the file lacks."""
    for name in ("unet", "vae"):
        found, wanted = sum(key.startswith(PREFIXES[name]) for key in names), len(parts[name].state_dict())
        if found < wanted or (name == "unet" and found > wanted):  # an autoencoder may lie beside its training's loss
            got = f"got {path!r}, whose {name} has {found} of {wanted} tensors"
            raise refused(f"have the weights that single_file_config describes, {got}; {ADVICE}")
    if not _has_text_encoder(names):
        return
    if not any(key.startswith(CLIP) for key in names):
        raise refused(f"have the text encoder of SD 1.x, got {path!r}, which has another; take a diffusers folder")
    wanted = {CLIP + key.removeprefix("text_model.") for key in parts["text_encoder"].state_dict()}
    lacking = sorted(wanted.difference(names))
    if lacking:  # diffusers would take the folder's text encoder, or leave these out
        raise refused(f"have the whole text encoder, got {path!r}, which lacks {lacking[0]}; {ADVICE}")
