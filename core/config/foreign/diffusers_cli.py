"""diffusers' DreamBooth LoRA scripts: their command lines, after the scripts' own arguments and defaults."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.config.foreign.epochs import EpochPlan, count_pictures, finding_of
from core.config.foreign.flow_keys import T5, ByModel, flow_key, guidance_key
from core.config.foreign.mapping import (
    Key,
    Took,
    Values,
    apply,
    as_number,
    choice,
    differs,
    ignored,
    mapped,
    own,
    settled,
)
from core.config.foreign.mapping import optimizer as optimizer_key
from core.config.foreign.shell import LAUNCH
from core.config.foreign.simpletuner_keys import COURSES
from core.config.foreign.simpletuner_rest import MACHINE, STORE
from core.config.foreign.source import Imported, Reader, Source
from core.config.foreign.values import number_of, switch_of

SCRIPT = "script"
OPTIMIZER = optimizer_key("optimizer")
FAMILY_OF = {"sdxl": "sdxl", "sd3": "sd3", "flux": "flux"}
FLUX_ALPHA = 4
OTHER_SCRIPT = "not a DreamBooth LoRA script of a family that is trained here"


def family_of(script: str) -> str | None:
    """The family that a script trains; None for a script of another model."""
    stem = script.removesuffix(".py").removesuffix("_advanced")
    if stem in {"train_dreambooth_lora", "train_dreambooth_lora_sd15"}:
        return "stable_diffusion"
    return FAMILY_OF.get(stem.removeprefix("train_dreambooth_lora_"))


def _script(value: Any, values: Values) -> Took:
    family = family_of(str(value))
    return Took("differs", words=OTHER_SCRIPT) if family is None else Took("mapped", {"family": family})


def _is_flux(values: Values) -> bool:
    return family_of(str(values.get(SCRIPT, ""))) == "flux"


def _of(by_family: Mapping[str, Any]) -> ByModel:
    """A value by the family of the script."""
    return lambda values: by_family.get(str(family_of(str(values.get(SCRIPT, "")))))


def _plain_sd(values: Values) -> bool:
    return family_of(str(values.get(SCRIPT, ""))) == "stable_diffusion"


def _or_default(option: str, plain: Any, others: Any) -> Any:
    """A value, or the default of the script: one for Stable Diffusion, one for the others."""

    def take(value: Any, values: Values) -> Took:
        usual = plain if _plain_sd(values) else others
        return Took("mapped", {option: usual if value is None else value})

    return take


def _resolution(value: Any, values: Values) -> Took:
    usual = 1024 if family_of(str(values.get(SCRIPT, ""))) == "sdxl" else 512
    return Took("mapped", {"resolution": usual if value is None else value})


def _alpha(value: Any, values: Values) -> Took:
    rank = values.get("rank", FLUX_ALPHA)
    if value is None and _is_flux(values) and number_of(rank) != FLUX_ALPHA:
        return Took(
            "differs", {"lora_alpha": FLUX_ALPHA}, f"left out, {FLUX_ALPHA}; in older versions the rank, {rank}"
        )
    return Took("mapped", {"lora_alpha": rank if value is None else value})


def _switch(name: str, option: str, default: Any = False) -> Key:
    def take(value: Any, values: Values) -> Took:
        switch = switch_of(value)
        return Took("mapped", {option: value if switch is None else switch})

    return own(name, option, take, "on where it stands", default=default)


def _launch_precision(value: Any, values: Values) -> Took:
    if "mixed_precision" in values:
        return Took("ignored", words="the script's own --mixed_precision decides")
    return Took("mapped", {"mixed_precision": value})


def _optimizer(value: Any, values: Values) -> Took:
    bits = switch_of(values.get("use_8bit_adam", False))
    return OPTIMIZER.take("adamw_8bit" if bits and str(value).strip().lower() == "adamw" else value, values)


def _in_8_bits(value: Any, values: Values) -> Took:
    if switch_of(value) is False or str(values.get("optimizer", "adamw")).lower() != "adamw":
        return Took("ignored", words="read with AdamW alone")
    return Took("mapped", {"optimizer": "adamw_8bit"})


def _text_encoder_lr(value: Any, values: Values) -> Took:
    if switch_of(values.get("train_text_encoder")) is not True:
        return Took("ignored", words="belongs to train_text_encoder")
    if str(values.get("optimizer", "adamw")).strip().lower() == "prodigy":
        return Took("ignored", words="Prodigy has one learning rate for all")
    if value is None and _plain_sd(values):
        return Took("ignored", words="the learning rate counts")
    return Took("mapped", {"text_encoder_lr": 5e-6 if value is None else value})


KEYS: tuple[Key, ...] = (
    own(SCRIPT, "family", _script, "its name tells the family"),
    own(LAUNCH + "mixed_precision", "mixed_precision", _launch_precision, "where the script's own is left out"),
    mapped(LAUNCH + "num_processes", "num_processes"),
    mapped("pretrained_model_name_or_path", "pretrained_model_name_or_path"),
    mapped("revision", "revision"),
    mapped("variant", "variant"),
    differs("pretrained_vae_model_name_or_path", "the base model's own VAE is used here"),
    mapped("instance_data_dir", "instance_data_dir"),
    mapped("instance_prompt", "instance_prompt"),
    differs("dataset_name", "a data set of the hub there; here a folder: give instance_data_dir"),
    mapped("class_data_dir", "class_data_dir"),
    mapped("class_prompt", "class_prompt"),
    _switch("with_prior_preservation", "with_prior_preservation"),
    mapped("prior_loss_weight", "prior_loss_weight", default=1.0),
    mapped("num_class_images", "num_class_images", default=100),
    own("resolution", "resolution", _resolution, "512, for sdxl 1024", default=None),
    mapped("aspect_ratio_buckets", "aspect_ratio_buckets", words="height,width;height,width"),
    _switch("center_crop", "center_crop"),
    _switch("random_flip", "random_flip"),
    differs("repeats", "one folder: more of the same, see max_train_steps", harmless=("1",)),
    _switch("train_text_encoder", "train_text_encoder"),
    own("text_encoder_lr", "text_encoder_lr", _text_encoder_lr, "5e-6, for sd the learning rate", default=None),
    mapped("train_batch_size", "train_batch_size", default=4),
    mapped("gradient_accumulation_steps", "gradient_accumulation_steps", default=1),
    _switch("gradient_checkpointing", "gradient_checkpointing"),
    own("learning_rate", "learning_rate", _or_default("learning_rate", 5e-4, 1e-4), "5e-4 or 1e-4", default=None),
    differs("scale_lr", "the learning rate is not scaled by the batch here"),
    choice(
        "lr_scheduler",
        "lr_scheduler",
        COURSES,
        near={"cosine_with_restarts": ("cosine", "starts again lr_num_cycles times there; here once")},
        default="constant",
        words="cosine_with_restarts becomes cosine",
    ),
    mapped("lr_warmup_steps", "lr_warmup_steps", default=500),
    differs("lr_num_cycles", "one fall here", harmless=("1",)),
    differs("lr_power", "a straight line here", harmless=("1", "1.0")),
    mapped("max_train_steps", "max_train_steps"),
    own(
        "num_train_epochs",
        "max_train_steps",
        lambda value, values: (
            Took("ignored", words="max_train_steps decides") if "max_train_steps" in values else Took("differs")
        ),
        "counted in optimizer steps here",
        standing="differs",
    ),
    mapped("checkpointing_steps", "checkpointing_steps", default=500),
    mapped("checkpoints_total_limit", "checkpoints_total_limit", default=None),
    choice("mixed_precision", "mixed_precision", {"no": "no", "fp16": "fp16", "bf16": "bf16"}),
    mapped("seed", "seed"),
    mapped("max_grad_norm", "max_grad_norm", default=1.0),
    mapped("snr_gamma", "snr_gamma", default=None),
    mapped("adam_beta1", "adam_beta1", default=0.9),
    mapped("adam_beta2", "adam_beta2", default=0.999),
    own("adam_weight_decay", "adam_weight_decay", _or_default("adam_weight_decay", 1e-2, 1e-4), "", default=None),
    mapped("adam_epsilon", "adam_epsilon", default=1e-8),
    own("optimizer", "optimizer", _optimizer, OPTIMIZER.words),
    own("use_8bit_adam", "optimizer", _in_8_bits, "AdamW in 8 bits"),
    differs("do_edm_style_training", "trained by the base model's own noise schedule here"),
    differs("use_dora", "splits off magnitudes there; here a plain LoRA"),
    mapped("rank", "rank", default=4),
    own("lora_alpha", "lora_alpha", _alpha, "left out, the rank; in the script of flux 4", default=None),
    mapped("lora_dropout", "lora_dropout", default=0.0),
    differs("lora_layers", "lora_targets chooses groups of layers here"),
    differs("lora_blocks", "lora_targets chooses groups of layers here"),
    flow_key("weighting_scheme", _of({"sd3": "logit_normal", "flux": "none"}), _of({"flux": "logit_normal"})),
    flow_key("logit_mean", _of({"sd3": 0, "flux": 0}), _of({"sd3": 0, "flux": 0})),
    flow_key("logit_std", _of({"sd3": 1, "flux": 1}), _of({"sd3": 1, "flux": 1})),
    ignored("mode_scale", "read with weighting_scheme"),
    flow_key("precondition_outputs", _of({"sd3": 1}), _of({"sd3": 0}), "the error of the clean picture counts there"),
    flow_key("max_sequence_length", _of({"sd3": 77, "flux": 512}), _of({"sd3": 256, "flux": 512}), T5),
    differs("tokenizer_max_length", "the tokenizer's own length is read here"),
    guidance_key("guidance_scale", _is_flux),
    mapped("validation_prompt", "validation_prompts"),
    mapped("num_validation_images", "num_validation_images", default=4),
    differs("validation_epochs", "counted in optimizer steps here: validation_steps"),
    mapped("report_to", "report_to", words="left out, no tracker is used here"),
    ignored("output_dir", STORE),
    ignored("logging_dir", STORE),
    ignored("cache_dir", "HF_HOME says where downloads lie"),
    ignored("resume_from_checkpoint", "`core resume RUN` goes on here"),
    ignored("push_to_hub", "nothing is pushed from a training here"),
    ignored("hub_model_id", "nothing is pushed from a training here"),
    *(
        ignored(name, MACHINE)
        for name in (
            "sample_batch_size", "dataloader_num_workers", "allow_tf32", "prior_generation_precision", "local_rank",
            "enable_xformers_memory_efficient_attention", "enable_npu_flash_attention", "cache_latents",
            "pre_compute_text_embeddings", "upcast_before_saving", "output_kohya_format",
            LAUNCH + "num_machines", LAUNCH + "config_file",
            LAUNCH + "gpu_ids", LAUNCH + "num_cpu_threads_per_process", LAUNCH + "main_process_port",
        )
    ),
)  # fmt: skip
DIFFUSERS_KEYS: Mapping[str, Key] = {key.name: key for key in KEYS}


def read(source: Source) -> Imported:
    """Takes over the flags of a command line."""
    table = {**({SCRIPT: source.script} if source.script else {}), **source.table}
    taken = apply(table, DIFFUSERS_KEYS)
    rows, options = list(taken.findings), dict(taken.options)
    if "max_train_steps" not in options:
        folder = source.find(options.get("instance_data_dir"))
        pictures = None if folder is None else count_pictures(folder)
        epochs = number_of(table.get("num_train_epochs"))
        plan = EpochPlan(
            key="num_train_epochs",
            epochs=1.0 if epochs is None else max(epochs, 0.0),
            batch=max(1, int(as_number(options, "train_batch_size", 1))),
            accumulation=max(1, int(as_number(options, "gradient_accumulation_steps", 1))),
            items=None if pictures is None else int(pictures * max(1.0, as_number(table, "repeats", 1.0))),
        )
        length = replace(finding_of(plan), given=epochs is not None)
        rows = [row for row in rows if row.key.lstrip("-") != "num_train_epochs"] + [length]
        options |= length.options
    return Imported("diffusers", settled(rows), options, taken.kept, taken.problems)


READER = Reader(
    "diffusers",
    "diffusers' DreamBooth LoRA scripts",
    DIFFUSERS_KEYS,
    frozenset({"instance_prompt", "with_prior_preservation", "class_prompt", "num_class_images", "validation_epochs"}),
    read,
)
