"""Stable Diffusion 1.x and 2.x, and the embedded base model."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from jaxtyping import Float
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers.utils import logging as transformers_logging

from core.errors import DataError, Problem
from core.models.hub import hub_problem
from core.noise.schedule import NoiseSchedule
from core.regular import MEGABYTE, read_regular
from core.shortage import is_out_of_memory, is_out_of_room

_ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
_FEED_FORWARD = ["ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
_CONVOLUTIONS = ["conv1", "conv2", "conv_shortcut", "time_emb_proj"]
_TARGETS = {
    "attention": _ATTENTION,
    "attention+feed_forward": _ATTENTION + _FEED_FORWARD,
    "all": _ATTENTION + _FEED_FORWARD + _CONVOLUTIONS,
}
_KINDS = {
    "epsilon": "epsilon",
    "v_prediction": "v_prediction",
    "sample": "sample",
    "flow_prediction": "flow_matching",
}
_PIPELINE = "StableDiffusionPipeline"
_FOREIGN = (OSError, ValueError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError)
"""What the libraries raise on files of a base model that make no sense."""
_OPTION = "pretrained_model_name_or_path"


class StableDiffusion:
    """One UNet, one CLIP text encoder, one autoencoder. Implements :class:`core.models.family.Family`."""

    def __init__(self, pipeline: StableDiffusionPipeline):
        self.pipeline = pipeline
        self.network: nn.Module = pipeline.unet
        self.schedule = NoiseSchedule.from_diffusers(pipeline.scheduler)
        self.kind = _KINDS[pipeline.scheduler.config["prediction_type"]]
        for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
            part.requires_grad_(False)
            part.eval()
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def load(cls, path: str, revision: str | None = None, variant: str | None = None) -> "StableDiffusion":
        """Reads a local diffusers folder, or a hub id where the hub can be reached.

        Raises:
            DataError: nothing at ``path`` loads as a Stable Diffusion pipeline.
        """
        _check_folder(path, revision)
        for logging in (diffusers_logging, transformers_logging):  # bars of milliseconds drown the log
            logging.disable_progress_bar()
        try:
            pipeline = StableDiffusionPipeline.from_pretrained(
                path, revision=revision, variant=variant, dtype=torch.float32, use_safetensors=True,
                safety_checker=None, requires_safety_checker=False,
            )  # fmt: skip
        except (*_FOREIGN, SafetensorError) as error:
            if is_out_of_memory(error) or is_out_of_room(error):
                raise  # the model is not to blame
            problem = None if os.path.isdir(path) else hub_problem(path, error)
            if problem is not None:
                raise _refused(f"{problem}; or use 'embedded', which ships with the workbench") from error
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise _refused(
                f"be a diffusers folder or a hub id in reach, got {path!r} ({first}); "
                "use 'embedded' for the base model that ships with the workbench"
            ) from error
        _check_parts(pipeline, path)
        _check_weights(pipeline, path)
        try:
            return cls(pipeline)
        except ValueError as error:  # a noise schedule that is none
            raise _refused(f"have a scheduler whose noise grows from step to step, got {path!r} ({error})") from error

    def to(self, device: torch.device) -> None:
        """Moves all parts."""
        self.pipeline.to(device)

    def lora_targets(self, name: str) -> list[str]:
        """Module name endings; see ``lora_targets`` in the option table."""
        return _TARGETS[name]

    @torch.no_grad()
    def encode_pictures(self, pictures: Float[Tensor, "n 3 height width"]) -> Float[Tensor, "n c h w"]:
        """Scaled latents: the mode of the posterior where the autoencoder has one."""
        vae = self.pipeline.vae
        encoded = vae.encode(pictures.to(vae.device, vae.dtype))
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return latents.float() * vae.config["scaling_factor"]

    @torch.no_grad()
    def encode_prompts(self, prompts: Sequence[str]) -> Float[Tensor, "n tokens width"]:
        """The text encoder's last hidden states, as the pipeline itself encodes them."""
        embeddings, _ = self.pipeline.encode_prompt(
            list(prompts), self.pipeline.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return embeddings

    def predict(self, network: nn.Module, noisy: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """One forward, returned in float32."""
        return network(noisy, timestep, encoder_hidden_states=condition, return_dict=False)[0].float()

    def save_adapter(self, folder: Path, network: nn.Module, metadata: dict[str, str]) -> Path:
        """Writes ``pytorch_lora_weights.safetensors`` with diffusers keys and the adapter's own configuration."""
        configuration = network.peft_config["default"].to_dict()
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=get_peft_model_state_dict(network),
            safe_serialization=True,
            unet_lora_adapter_metadata={key: _plain(value) for key, value in configuration.items()},
        )
        path = folder / "pytorch_lora_weights.safetensors"
        _add_metadata(path, metadata)
        return path


def _refused(rule: str) -> DataError:
    return DataError([Problem(_OPTION, f"{_OPTION} must {rule}")])


def _check_folder(path: str, revision: str | None) -> None:
    folder, index = Path(path), Path(path) / "model_index.json"
    looks_local = folder.is_absolute() or path.startswith(("./", "../", "~")) or path.count("/") > 1
    if looks_local and not os.path.exists(folder):
        raise _refused(f"be a folder that exists, got {path!r}; check the path")
    if not os.path.isdir(folder):
        return
    if revision is not None:
        rule = f"revision must be unset for a base model in a folder, which has only one, got {revision!r}"
        raise DataError([Problem("revision", rule)])
    if not index.is_file():
        raise _refused(f"be a diffusers folder with a model_index.json, got {path!r}, which has none")
    try:
        parts = json.loads(read_regular(index, MEGABYTE))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(f"be a diffusers folder, got {path!r}, whose model_index.json cannot be read") from error
    if not isinstance(parts, dict):
        raise _refused(f"be a diffusers folder, got {path!r}, whose model_index.json holds no object")
    for name in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        if name not in parts or not (folder / name).is_dir():
            raise _refused(f"be a diffusers folder with a {name}, got {path!r}, which has none")
    pipeline = parts.get("_class_name")
    if pipeline != _PIPELINE:
        raise _refused(f"be a {_PIPELINE}, got {path!r}, a {pipeline}; choose the family that it belongs to")


def _check_parts(pipeline: StableDiffusionPipeline, path: str) -> None:
    kind = pipeline.scheduler.config.get("prediction_type")
    if not isinstance(kind, str) or kind not in _KINDS:
        what = f"a {type(pipeline.scheduler).__name__} with prediction_type {kind!r}"
        raise _refused(f"have a scheduler that predicts {', '.join(_KINDS)}, got {what} in {path!r}")
    takes, gives = pipeline.unet.config["in_channels"], pipeline.vae.config["latent_channels"]
    if takes != gives:
        raise _refused(f"have a unet that takes the vae's {gives} channels, got {takes} in {path!r}")
    scale = pipeline.vae.config["scaling_factor"]
    if not isinstance(scale, int | float) or not 0 < scale < 1e6:
        raise _refused(f"have a vae whose scaling_factor is a number above 0, got {scale!r} in {path!r}")


def _check_weights(pipeline: StableDiffusionPipeline, path: str) -> None:
    """Refuses a folder whose files lack weights: the libraries draw those at random, and only say so in the log."""
    for name in ("unet", "vae", "text_encoder") if os.path.isdir(path) else ():
        keys: set[str] = set()
        for file in Path(path, name).glob("*.safetensors"):
            with safe_open(file, framework="pt") as opened:
                keys.update(opened.keys())
        wanted = sum(1 for _ in getattr(pipeline, name).parameters())
        if len(keys) < wanted:
            got = f"got {path!r}, whose {name} has {len(keys)} of {wanted} tensors; fetch it again"
            raise _refused(f"be a diffusers folder with all of its weights, {got}")


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, set) else value


def _add_metadata(path: Path, metadata: dict[str, str]) -> None:
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        existing = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    clash = sorted(set(existing) & set(metadata))
    if clash:
        raise ValueError(f"adapter metadata already has {json.dumps(clash)}")
    aside = path.with_suffix(".new")
    save_file(tensors, aside, metadata={**existing, **metadata})
    aside.replace(path)
