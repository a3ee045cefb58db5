"""Transformers of SD 3 and FLUX.1 as their original code names them: q, k and v are one tensor, shift goes first."""

import torch
from torch import Tensor

SD3 = {
    "pos_embed.pos_embed": "pos_embed", "pos_embed.proj": "x_embedder.proj", "context_embedder": "context_embedder",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "norm_out.linear": "final_layer.adaLN_modulation.1", "proj_out": "final_layer.linear",
}  # fmt: skip
SD3_BLOCK = {
    "attn.norm_q": "x_block.attn.ln_q", "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q", "attn.norm_added_k": "context_block.attn.ln_k",
    "attn.to_out.0": "x_block.attn.proj", "attn.to_add_out": "context_block.attn.proj",
    "attn2.norm_q": "x_block.attn2.ln_q", "attn2.norm_k": "x_block.attn2.ln_k", "attn2.to_out.0": "x_block.attn2.proj",
    "norm1.linear": "x_block.adaLN_modulation.1", "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1", "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1", "ff_context.net.2": "context_block.mlp.fc2",
}  # fmt: skip
SD3_JOINED = {
    "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
}
FLUX = {
    "x_embedder": "img_in", "context_embedder": "txt_in", "proj_out": "final_layer.linear",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    **{
        f"time_text_embed.{new}_embedder.linear_{index}": f"{old}_in.{layer}"
        for new, old in {"timestep": "time", "text": "vector", "guidance": "guidance"}.items()
        for index, layer in ((1, "in_layer"), (2, "out_layer"))
    },
}  # fmt: skip
FLUX_BLOCK = {
    "norm1.linear": "img_mod.lin", "norm1_context.linear": "txt_mod.lin",
    "attn.to_out.0": "img_attn.proj", "attn.to_add_out": "txt_attn.proj",
    "attn.norm_q": "img_attn.norm.query_norm", "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm", "attn.norm_added_k": "txt_attn.norm.key_norm",
    "ff.net.0.proj": "img_mlp.0", "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0", "ff_context.net.2": "txt_mlp.2",
}  # fmt: skip
FLUX_JOINED = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
}
SINGLE_BLOCK = {
    "norm.linear": "modulation.lin", "attn.norm_q": "norm.query_norm", "attn.norm_k": "norm.key_norm",
    "proj_out": "linear2",
}  # fmt: skip
SINGLE_JOINED = {"linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")}


def sd3_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as SD 3's own code names them."""
    last = max(int(name.split(".")[1]) for name in weights if name.startswith("transformer_blocks."))
    found = _blocks(weights, "transformer_blocks", "joint_blocks", SD3_BLOCK, SD3_JOINED) | _fixed(weights, SD3)
    return _shift_first(
        found, "final_layer.adaLN_modulation.1", f"joint_blocks.{last}.context_block.adaLN_modulation.1"
    )


def flux_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as FLUX.1's own code names them."""
    found = _blocks(weights, "transformer_blocks", "double_blocks", FLUX_BLOCK, FLUX_JOINED) | _fixed(weights, FLUX)
    found |= _blocks(weights, "single_transformer_blocks", "single_blocks", SINGLE_BLOCK, SINGLE_JOINED)
    scaled = {
        name.replace("_norm.weight", "_norm.scale") if "_norm." in name else name: found[name] for name in found
    }  # fmt: skip
    return _shift_first(scaled, "final_layer.adaLN_modulation.1")


def _fixed(weights: dict[str, Tensor], names: dict[str, str]) -> dict[str, Tensor]:
    found = {
        f"{names[stem]}.{end}": tensor
        for name, tensor in weights.items()
        for stem, end in [_cut(name)]
        if stem in names
    }
    return found | {names[name]: tensor for name, tensor in weights.items() if name in names}


def _blocks(
    weights: dict[str, Tensor], root: str, own: str, names: dict[str, str], joined: dict[str, tuple[str, ...]]
) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not name.startswith(f"{root}."):
            continue
        index, rest = name.removeprefix(f"{root}.").split(".", 1)
        stem, end = _cut(rest)
        if stem in names:
            found[f"{own}.{index}.{names[stem]}.{end}"] = tensor
        for whole, pieces in joined.items():
            if stem == pieces[0]:
                parts = [weights[f"{root}.{index}.{piece}.{end}"] for piece in pieces]
                found[f"{own}.{index}.{whole}.{end}"] = torch.cat(parts)
    return found


def _cut(name: str) -> tuple[str, str]:
    stem, _, end = name.rpartition(".")
    return stem, end


def _shift_first(found: dict[str, Tensor], *names: str) -> dict[str, Tensor]:
    for name in names:
        for end in ("weight", "bias"):
            scale, shift = found[f"{name}.{end}"].chunk(2)
            found[f"{name}.{end}"] = torch.cat([shift, scale])
    return found
