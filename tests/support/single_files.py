"""A Stable Diffusion 1.x folder as one file in the layout of its original code, which diffusers undoes on reading."""

from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING
from safetensors.torch import save_file

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def save_single_file(folder: Path, path: Path, *, text_encoder: bool = True) -> Path:
    """Writes the folder's weights as one file, with or without the text encoder's."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    layers = pipeline.unet.config["layers_per_block"]
    levels = len(pipeline.vae.config["block_out_channels"])
    found = {
        f"model.diffusion_model.{_unet(name, layers)}": tensor for name, tensor in pipeline.unet.state_dict().items()
    }
    for name, tensor in pipeline.vae.state_dict().items():
        key = f"first_stage_model.{_vae(name, levels)}"
        is_convolution = ".attn_1." in key and tensor.ndim == 2  # in the original, of one pixel
        found[key] = tensor[:, :, None, None] if is_convolution else tensor
    if text_encoder:
        for name, tensor in pipeline.text_encoder.state_dict().items():
            found[f"cond_stage_model.transformer.text_model.{name.removeprefix('text_model.')}"] = tensor
        positions = len(found["cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"])
        found["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(positions)[None]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, path)
    return path


def _unet(name: str, layers: int) -> str:
    fixed = DIFFUSERS_TO_LDM_MAPPING["unet"]["layers"]
    if name in fixed:
        return fixed[name]
    block, *rest = name.split(".")
    if block == "mid_block":
        kind, place, *rest = rest
        where = f"middle_block.{1 if kind == 'attentions' else 2 * int(place)}"
    else:
        level, kind, place, *rest = rest
        where = _place(block, int(level), kind, int(place), layers)
        if kind in ("downsamplers", "upsamplers"):
            return f"{where}.{'op' if kind == 'downsamplers' else 'conv'}.{rest[-1]}"
    return ".".join([where, *(RESNET.get(word, word) if kind == "resnets" else word for word in rest)])


def _place(block: str, level: int, kind: str, place: int, layers: int) -> str:
    """The original numbers all layers of one side in one row, the first convolution before them."""
    within = {"resnets": 0, "attentions": 1}
    if block == "down_blocks":
        row = level * (layers + 1) + (layers if kind == "downsamplers" else place) + 1
        return f"input_blocks.{row}.{within.get(kind, 0)}"
    row = level * (layers + 1) + (layers if kind == "upsamplers" else place)
    return f"output_blocks.{row}.{within.get(kind, 1 if level == 0 else 2)}"


def _vae(name: str, levels: int) -> str:
    fixed = DIFFUSERS_TO_LDM_MAPPING["vae"]
    if name in fixed:
        return fixed[name]
    side, block, *rest = name.split(".")
    if block == "mid_block":
        kind, place, *rest = rest
        where, words = f"{side}.mid.{'attn' if kind == 'attentions' else 'block'}_{int(place) + 1}", ".".join(rest)
        if kind == "attentions":
            for new, old in VAE_ATTENTION.items():
                words = words.replace(new, old)
        return f"{where}.{words.replace('conv_shortcut', 'nin_shortcut')}"
    level, kind, place, *rest = rest
    row = int(level) if block == "down_blocks" else levels - 1 - int(level)
    what = f"block.{place}" if kind == "resnets" else kind.removesuffix("rs")
    words = ".".join(rest).replace("conv_shortcut", "nin_shortcut")
    return f"{side}.{block.removesuffix('_blocks')}.{row}.{what}.{words}"
