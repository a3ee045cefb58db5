"""The stages of a rebuild, each a function of (work folder, assets folder)."""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderTiny
from transformers import CLIPTokenizer

from assets.build.art import fetch, narrow_set, save_subjects, wide_set
from assets.build.autoencoder import train_autoencoder
from assets.build.base import (
    DECAY_STEPS,
    STEPS,
    BaseTraining,
    encode_training_set,
    evaluation_grid,
    token_ids,
    train_base,
)
from assets.build.flow import FLOW_DECAY_STEPS, FLOW_STEPS, FlowTraining
from assets.build.tokenizer import build_tokenizer
from assets.build.vocabulary import BACKGROUNDS


def _log(text: str) -> None:
    print(text, flush=True)


def art(work: Path, assets: Path) -> None:
    """Fetches and renders the art; writes the DreamBooth subjects."""
    packages = fetch(work / "art")
    np.save(work / "wide.npy", wide_set(packages))
    narrow = narrow_set(packages)
    np.savez(work / "narrow.npz", **{f"{style}|{noun}": picture for (style, noun), picture in narrow.items()})
    save_subjects(packages, assets)


def tokenizer(work: Path, assets: Path) -> None:
    """Builds the tokenizer from the captions."""
    build_tokenizer(work / "tokenizer")


def autoencoder(work: Path, assets: Path) -> None:
    """Trains the autoencoder on every icon."""
    train_autoencoder(np.load(work / "wide.npy"), work / "vae", log=_log)


def _training(work: Path, kind: type[BaseTraining]) -> tuple[BaseTraining, AutoencoderTiny, CLIPTokenizer]:
    vae = AutoencoderTiny.from_pretrained(work / "vae")
    words = CLIPTokenizer.from_pretrained(str(work / "tokenizer"))
    icons = {
        tuple(name.split("|")): torch.from_numpy(picture) for name, picture in np.load(work / "narrow.npz").items()
    }
    latents, tokens = encode_training_set(icons, vae, words)
    training = kind(work, latents, tokens, token_ids(words, [""]), len(words))
    return training, vae, words


def base(work: Path, assets: Path) -> None:
    """Trains the denoiser and the text encoder, from the last checkpoint if there is one."""
    training, vae, words = _training(work, BaseTraining)
    train_base(training, vae, words, STEPS, DECAY_STEPS, log=_log)


def flow(work: Path, assets: Path) -> None:
    """Converts the trained denoiser to flow matching, from the last checkpoint if there is one."""
    training, vae, words = _training(work, FlowTraining)
    train_base(training, vae, words, FLOW_STEPS, FLOW_DECAY_STEPS, log=_log)


def export(work: Path, assets: Path) -> None:
    """Writes both folders that ``StableDiffusionPipeline.from_pretrained`` loads, and their evaluation grids.

    The text encoder stays in float32: transformers loads a model in the type it was saved in, diffusers in float32,
    and a folder in float16 throughout would mix the two.
    """
    (assets / "pictures").mkdir(exist_ok=True)
    for kind, folder in ((BaseTraining, assets / "base"), (FlowTraining, assets / "base-flow")):
        training, vae, words = _training(work, kind)
        pipeline = training.pipeline(vae, words)
        evaluation_grid(pipeline).save(assets / "pictures" / f"{folder.name}-samples.png")
        pipeline.unet.set_default_attn_processor()
        pipeline.unet.to(torch.float16)
        pipeline.vae.to(torch.float16)
        pipeline.save_pretrained(folder)
        # the autoencoder writes the first of itself and warns of it when it reads it back; the second is a path here
        _forget(folder / "vae" / "config.json", "block_out_channels", "_name_or_path")
        write_backgrounds(folder)
        _log(f"exported step {training.step} to {folder}")


def write_backgrounds(folder: Path) -> None:
    """Says which flat backgrounds the model knows by name, for the score of prompt adherence."""
    rows = [f'  "{name}": {list(colour)}' for name, colour in BACKGROUNDS.items()]
    (folder / "backgrounds.json").write_text("{\n" + ",\n".join(rows) + "\n}\n")


def _forget(config: Path, *keys: str) -> None:
    """Removes keys from a configuration."""
    values = {name: value for name, value in json.loads(config.read_text()).items() if name not in keys}
    config.write_text(json.dumps(values, indent=2) + "\n")
