"""Diffusers folders as one file in the layout of their original code, which diffusers undoes on reading."""

from collections.abc import Callable, Collection
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusers.loaders.single_file_utils import DIFFUSERS_TO_LDM_MAPPING
from safetensors.torch import save_file
from single_transformers import flux_names, sd3_names
from torch import Tensor, nn

RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
}  # fmt: skip
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding.weight": "token_embedding.weight", "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks", "layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj", "self_attn.out_proj": "attn.out_proj",
}  # fmt: skip
NETWORK = "model.diffusion_model."


def save_single_file(folder: Path, path: Path, *, without: Collection[str] = (), bare: bool = False) -> Path:
    """Writes the folder's weights as one file.

    Args:
        folder: of any family.
        path: of the file.
        without: parts that are left out.
        bare: the network's tensors without their prefix, as files of a FLUX.1 transformer alone have them.
    """
    pipeline = DiffusionPipeline.from_pretrained(folder)
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, nn.Module)}
    found: dict[str, Tensor] = {}
    for name, part in parts.items():
        if name not in without:
            found |= _names(type(pipeline).__name__, name)(part)
    if bare:
        found = {name.removeprefix(NETWORK): tensor for name, tensor in found.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in found.items()}, path)
    return path


def _names(kind: str, part: str) -> Callable[[nn.Module], dict[str, Tensor]]:
    """What renames a part's tensors."""
    if part == "unet":
        return _unet
    if part == "vae":
        return _vae
    if part == "transformer":
        rename = sd3_names if kind.startswith("StableDiffusion3") else flux_names
        return lambda network: {NETWORK + name: tensor for name, tensor in rename(network.state_dict()).items()}
    if kind == "StableDiffusionPipeline":
        return _first_clip
    if kind == "StableDiffusionXLPipeline":
        return (
            _embedders_0 if part == "text_encoder" else lambda encoder: _open_clip(encoder, "conditioner.embedders.1.")
        )
    return _t5 if part == ("text_encoder_3" if kind.startswith("StableDiffusion3") else "text_encoder_2") else (
        lambda encoder: _clip(encoder, f"text_encoders.{'clip_l' if part == 'text_encoder' else 'clip_g'}.transformer.")
    )  # fmt: skip


def _first_clip(encoder: nn.Module) -> dict[str, Tensor]:
    """SD 2.x has OpenCLIP's text encoder, of which diffusers takes all layers but the last."""
    if encoder.config.num_hidden_layers < 23:
        return _clip(encoder, "cond_stage_model.transformer.")
    found = _open_clip(encoder, "cond_stage_model.")
    before = "cond_stage_model.model.transformer.resblocks."
    last = {
        name.replace(f"{before}22.", f"{before}23."): tensor for name, tensor in found.items() if f"{before}22." in name
    }
    return found | last | {"cond_stage_model.model.text_projection": torch.eye(encoder.config.hidden_size)}


def _embedders_0(encoder: nn.Module) -> dict[str, Tensor]:
    return _clip(encoder, "conditioner.embedders.0.transformer.")


def _clip(encoder: nn.Module, prefix: str) -> dict[str, Tensor]:
    """As transformers names them, within ``text_model``; in the files diffusers puts clip_l's projection in itself."""
    found: dict[str, Tensor] = {}
    for name, tensor in encoder.state_dict().items():
        if name == "text_projection.weight":
            found |= {} if "clip_l" in prefix else {prefix + name: tensor}
        else:
            found[f"{prefix}text_model.{name.removeprefix('text_model.')}"] = tensor
    positions = len(found[f"{prefix}text_model.embeddings.position_embedding.weight"])
    return found | {f"{prefix}text_model.embeddings.position_ids": torch.arange(positions)[None]}


def _open_clip(encoder: nn.Module, prefix: str) -> dict[str, Tensor]:
    weights = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name == "text_projection.weight":
            found["text_projection"] = tensor.T
        elif ".self_attn.q_proj." in name:
            three = [weights[name.replace("q_proj", which)] for which in ("q_proj", "k_proj", "v_proj")]
            key = name.replace("encoder.layers", "transformer.resblocks").replace("self_attn.q_proj.", "attn.in_proj_")
            found[key] = torch.cat(three)
        elif not any(f".self_attn.{which}." in name for which in ("k_proj", "v_proj")):
            for new, old in OPEN_CLIP.items():
                name = name.replace(new, old)
            found[name] = tensor
    return {f"{prefix}model.{name}": tensor for name, tensor in found.items()}


def _t5(encoder: nn.Module) -> dict[str, Tensor]:
    return {f"text_encoders.t5xxl.transformer.{name}": tensor for name, tensor in encoder.state_dict().items()}


def _unet(unet: nn.Module) -> dict[str, Tensor]:
    layers = unet.config["layers_per_block"]
    attended = [hasattr(block, "attentions") for block in unet.up_blocks]
    return {f"{NETWORK}{_unet_name(name, layers, attended)}": tensor for name, tensor in unet.state_dict().items()}


def _vae(vae: nn.Module) -> dict[str, Tensor]:
    levels, found = len(vae.config["block_out_channels"]), {}
    for name, tensor in vae.state_dict().items():
        key = f"first_stage_model.{_vae_name(name, levels)}"
        is_convolution = ".attn_1." in key and tensor.ndim == 2  # in the original, of one pixel
        found[key] = tensor[:, :, None, None] if is_convolution else tensor
    return found


def _unet_name(name: str, layers: int, attended: list[bool]) -> str:
    names = DIFFUSERS_TO_LDM_MAPPING["unet"]
    fixed = {**names["layers"], **names["addition_embed_type"]}
    if name in fixed:
        return fixed[name]
    block, *rest = name.split(".")
    if block == "mid_block":
        kind, place, *rest = rest
        where = f"middle_block.{1 if kind == 'attentions' else 2 * int(place)}"
    else:
        level, kind, place, *rest = rest
        where = _place(block, int(level), kind, int(place), layers, attended)
        if kind in ("downsamplers", "upsamplers"):
            return f"{where}.{'op' if kind == 'downsamplers' else 'conv'}.{rest[-1]}"
    return ".".join([where, *(RESNET.get(word, word) if kind == "resnets" else word for word in rest)])


def _place(block: str, level: int, kind: str, place: int, layers: int, attended: list[bool]) -> str:
    """The original numbers all layers of one side in one row, the first convolution before them."""
    within = {"resnets": 0, "attentions": 1}
    if block == "down_blocks":
        row = level * (layers + 1) + (layers if kind == "downsamplers" else place) + 1
        return f"input_blocks.{row}.{within.get(kind, 0)}"
    row = level * (layers + 1) + (layers if kind == "upsamplers" else place)
    return f"output_blocks.{row}.{within.get(kind, 2 if attended[level] else 1)}"


def _vae_name(name: str, levels: int) -> str:
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
