"""What an exported file says of itself: kohya's ``ss_*``, ``modelspec.*``, and ours under ``rollout_*``.

Only what is known to be true is said, and nothing of this machine or its user: a key whose value nobody wrote down is
left out. The keys of ``modelspec`` are those of Stability AI's specification 1.0.0.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from core import __version__
from core.config.flat import flatten
from core.config.run import RunConfig
from core.data.buckets import buckets_in_force
from core.export.architecture import ARCHITECTURES
from core.export.source import Source
from core.report.facts import portable
from core.runs import fields
from core.runs.manifest import read_manifest

SPECIFICATION = "1.0.0"
PREDICTIONS = {"epsilon": "epsilon", "v_prediction": "v"}
"""What ModelSpec calls what a network predicts; other kinds go under our names."""
HASH = "modelspec.hash_sha256"
CHUNK = 1 << 20
_PLAIN = {
    "ss_learning_rate": "learning_rate",
    "ss_unet_lr": "learning_rate",
    "ss_lr_scheduler": "lr_scheduler",
    "ss_lr_warmup_steps": "lr_warmup_steps",
    "ss_max_train_steps": "max_train_steps",
    "ss_seed": "seed",
    "ss_mixed_precision": "mixed_precision",
    "ss_gradient_checkpointing": "gradient_checkpointing",
    "ss_gradient_accumulation_steps": "gradient_accumulation_steps",
    "ss_max_grad_norm": "max_grad_norm",
    "ss_min_snr_gamma": "snr_gamma",
    "ss_caption_dropout_rate": "caption_dropout",
    "ss_flip_aug": "random_flip",
}
"""Keys of kohya's whose values are options of ours."""
_OPTIMIZERS = {
    "adamw": "torch.optim.adamw.AdamW",
    "adamw_8bit": "bitsandbytes.optim.adamw.AdamW8bit",
    "prodigy": "prodigyopt.prodigy.Prodigy",
}
"""Module and class, as kohya's scripts name an optimizer."""


def metadata_of(source: Source, format: str, implementation: str) -> dict[str, str]:
    """Everything but the hash, which is of the tensors as they are written.

    Args:
        source: The run.
        format: Of the export.
        implementation: Whose names the tensors have, for ModelSpec.
    """
    own = {"rollout_version": __version__, "rollout_format": format, "rollout_base_model": source.base}
    kept = {key: portable(value) for key, value in source.lora.metadata.items() if key.startswith("rollout_")}
    found = {**kohya_keys(source), **modelspec(source, implementation), **kept, **own}
    return found | ({"ss_network_module": "networks.lora"} if format == "kohya" else {})


def kohya_keys(source: Source) -> dict[str, str]:
    """The ``ss_*`` keys that tools read, as far as this trainer has them."""
    options, data = flatten(source.config), source.config.data
    found = {key: options[name] for key, name in _PLAIN.items()} | _pictures(source)
    found |= {
        "ss_output_name": source.name,
        "ss_sd_model_name": source.base,
        "ss_base_model_version": ARCHITECTURES[source.config.model.family].kohya(source.network, source.kind),
        "ss_network_dim": _common(module.rank for module in source.lora.modules),
        "ss_network_alpha": _common(f"{module.alpha:g}" for module in source.lora.modules),
        "ss_network_args": _convolutions(source),
        "ss_network_dropout": options["lora_dropout"] if options["lora_dropout"] > 0 else None,
        "ss_optimizer": _optimizer(options),
        "ss_enable_bucket": data.aspect_ratio_buckets is not None,
        "ss_random_crop": not data.center_crop,
        "ss_resolution": f"({data.resolution}, {data.resolution})" if data.aspect_ratio_buckets is None else None,
        "ss_text_encoder_lr": _encoder_rate(source.config),
        "ss_steps": source.steps,
        "ss_batch_size_per_device": options["train_batch_size"],
        "ss_prior_loss_weight": data.prior_loss_weight if data.with_prior_preservation else None,
        "ss_zero_terminal_snr": True if source.scheduler.get("rescale_betas_zero_snr") else None,
    }
    if source.config.model.family == "stable_diffusion":
        is_second = str(found["ss_base_model_version"]).startswith("sd_v2")
        found |= {"ss_v2": is_second, "ss_v_parameterization": source.kind == "v_prediction"}
    return {key: str(value) for key, value in found.items() if value is not None}


def _encoder_rate(config: RunConfig) -> float | None:
    if not config.lora.train_text_encoder:
        return None
    own = config.training.text_encoder_lr
    return config.training.learning_rate if own is None else own


def modelspec(source: Source, implementation: str) -> dict[str, str]:
    """The ``modelspec.*`` keys without the hash; of several buckets the one nearest to a square is the resolution."""
    data = source.config.data
    width, height = min(
        buckets_in_force(data.aspect_ratio_buckets, data.resolution), key=lambda size: abs(math.log(size[0] / size[1]))
    )
    architecture = ARCHITECTURES[source.config.model.family].modelspec(source.network, source.kind)
    found = {
        "sai_model_spec": SPECIFICATION,
        "architecture": f"{architecture}/lora",
        "implementation": implementation,
        "title": source.title,
        "description": f"DreamBooth LoRA for {source.base}, {source.steps} steps, trained with Rollout Workbench.",
        "date": source.date,
        "resolution": f"{width}x{height}",
        "prediction_type": PREDICTIONS.get(source.kind, source.kind),
        "trigger_phrase": source.trigger,
        "usage_hint": f"Use the words of the training prompt: {source.trigger}",
    }
    return {f"modelspec.{key}": value for key, value in found.items()}


def tensor_hash(path: Path) -> str:
    """SHA-256 of all that follows the header of a safetensors file, as ModelSpec has it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(8 + int.from_bytes(file.read(8), "little"))
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return f"0x{digest.hexdigest()}"


def _pictures(source: Source) -> dict[str, str | int]:
    """How many pictures, in how many folders, and how often each tag of their prompts, as kohya's scripts count them.

    Nothing where the run did not write down what it was trained on. A folder below the data folder goes by its name.
    """
    rows = read_manifest(source.run)
    if rows is None:
        return {}
    folders: dict[str, dict[str, int]] = {}
    tags: dict[str, Counter[str]] = {}
    images = {"instance": 0, "class": 0}
    for row in rows:
        name, repeats = PurePosixPath(str(row.get("file"))).parent.name, fields.count(row, "repeats")
        key = name if name else str(row.get("set"))
        images["class" if row.get("set") == "class" else "instance"] += repeats
        folder = folders.setdefault(key, {"n_repeats": repeats, "img_count": 0})
        folder["img_count"] += 1
        words = (tag.strip() for tag in portable(str(row.get("prompt"))).split(","))
        tags.setdefault(key, Counter()).update(word for word in words if word)
    return {
        "ss_num_train_images": images["instance"],
        "ss_num_reg_images": images["class"],
        "ss_dataset_dirs": json.dumps(folders, ensure_ascii=False),
        "ss_tag_frequency": json.dumps(tags, ensure_ascii=False),
    }


def _optimizer(options: Mapping[str, Any]) -> str:
    """The optimizer with the arguments that it was given, as kohya's scripts write them."""
    given = {
        "weight_decay": options["adam_weight_decay"],
        "betas": (options["adam_beta1"], options["adam_beta2"]),
        "eps": options["adam_epsilon"],
    }
    words = ",".join(f"{name}={value}" for name, value in given.items())
    return f"{_OPTIMIZERS[options['optimizer']]}({words})"


def _common(values: object) -> str:
    """The value that all share, else the word that kohya's scripts have for several."""
    found = {str(value) for value in values}  # type: ignore[attr-defined]
    return found.pop() if len(found) == 1 else "Dynamic"


def _convolutions(source: Source) -> str | None:
    """Rank and alpha of 3 × 3 convolutions, which kohya's networks take as arguments of their own."""
    wide = [module for module in source.lora.modules if module.down_shape[2:] not in ((), (1, 1))]
    if not wide:
        return None
    first: Mapping[str, object] = {"conv_dim": str(wide[0].rank), "conv_alpha": f"{wide[0].alpha:g}"}
    return json.dumps(first)
