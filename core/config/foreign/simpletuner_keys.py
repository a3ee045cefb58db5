"""The keys of SimpleTuner's ``config.json``, after its option reference; the defaults are those of its registry."""

from collections.abc import Mapping
from typing import Any

from core.config.foreign.flow_keys import TIMESTEPS, ByModel, flow_key, guidance_key
from core.config.foreign.mapping import (
    Key,
    Took,
    Values,
    as_number,
    choice,
    differs,
    ignored,
    mapped,
    optimizer,
    own,
)
from core.config.foreign.simpletuner_rest import REST
from core.config.foreign.simpletuner_rollout import OLDER_FAMILIES, PREFIX, ROLLOUT_KEYS, family_there, is_flow
from core.config.foreign.values import number_of, switch_of

FAMILIES = {
    "sd1x": "stable_diffusion",
    "sd2x": "stable_diffusion",
    "stable_diffusion": "stable_diffusion",
    "sdxl": "sdxl",
    "sd3": "sd3",
    "flux": "flux",
}
COURSES = {name: name for name in ("constant", "constant_with_warmup", "linear", "cosine", "polynomial")}
SAME_DATA = "the data folder's own settings decide here"
SCHEDULE = "the base model's own scheduler config decides here"


def _flow_alone(value: Any) -> ByModel:
    return lambda values: value if is_flow(values) else None


def _alpha(value: Any, values: Values) -> Took:
    return Took("mapped", {"lora_alpha": values.get("lora_rank", 16) if value in (None, "") else value})


def _steps(value: Any, values: Values) -> Took:
    number = number_of(value)
    if number is not None and number <= 0:
        return Took("ignored", words="num_train_epochs decides there")
    return Took("mapped", {"max_train_steps": value})


def _epochs(value: Any, values: Values) -> Took:
    if as_number(values, "max_train_steps") > 0:
        return Took("ignored", words="max_train_steps decides")
    return Took("differs", words="counted in optimizer steps here, see max_train_steps")


def _limit(value: Any, values: Values) -> Took:
    return Took("mapped", {"checkpoints_total_limit": None if number_of(value) == 0 else value})


def _clipping(value: Any, values: Values) -> Took:
    if number_of(value) == 0:
        return Took("differs", {"max_grad_norm": 1e6}, "0 clips nothing there; here that is a norm no gradient reaches")
    return Took("mapped", {"max_grad_norm": value})


def _gamma(value: Any, values: Values) -> Took:
    if is_flow(values):
        return Took("ignored", words="not read for flow matching there, and refused here")
    return Took("mapped", {"snr_gamma": None if number_of(value) == 0 else value})


def _perturbation(value: Any, values: Values) -> Took:
    if as_number(values, PREFIX + "max_step_offset") > 0 and number_of(value) != 0:
        return Took("differs", {"input_perturbation": 0.0}, "a control without rollout here, so it is off")
    return Took("mapped", {"input_perturbation": value})


def _guidance(value: Any, values: Values) -> Took:
    number = number_of(value)
    if number is not None and number < 1:
        return Took("differs", {"validation_guidance_scale": 1.0}, "below 1 is no guidance there, which is 1 here")
    return Took("mapped", {"validation_guidance_scale": value})


def _resolution(value: Any, values: Values) -> Took:
    kind, number = str(values.get("resolution_type", "pixel_area")).strip().lower(), number_of(value)
    if kind == "area" and number is not None and 0 < number < 100:
        side = max(64, round(1024 * number**0.5 / 64) * 64)
        return Took("differs", {"resolution": side}, "megapixels there; here the side of a square of that area")
    return Took("mapped", {"resolution": value})


def _checkpointing(value: Any, values: Values) -> Took:
    switch = switch_of(value)
    return Took("mapped", {"gradient_checkpointing": value if switch is None else switch})


def _legacy_family(name: str) -> Key:
    """Older configs switched the family on by its own name."""

    def take(value: Any, values: Values) -> Took:
        if not switch_of(value) or "model_family" in values:
            return Took("ignored", words="off, or model_family decides")
        return Took("mapped", {"family": name})

    return own(name, "family", take, "older files switch the family on by its name")


def _beta(number: int) -> Key:
    def take(value: Any, values: Values) -> Took:
        return Took("mapped", {f"adam_beta{number}": value})

    return own(f"optimizer_beta{number}", f"adam_beta{number}", take, "wins over adam_beta there too")


MODEL: tuple[Key, ...] = (
    choice("model_family", "family", FAMILIES, words="sd1x and sd2x are stable_diffusion"),
    *(_legacy_family(name) for name in OLDER_FAMILIES),
    mapped("pretrained_model_name_or_path", "pretrained_model_name_or_path"),
    ignored("model_flavour", "chooses a base model only where no path is given"),
    mapped("revision", "revision"),
    mapped("variant", "variant"),
    differs("model_type", "trains all weights there; here always a LoRA", harmless=("lora",)),
    differs("lora_type", "a LyCORIS adapter there; here a LoRA of the same rank", harmless=("standard",)),
    ignored("lycoris_config", "belongs to LyCORIS, which is not trained here"),
    differs("init_lora", "continues a LoRA there; here training starts from a new one"),
    differs("use_dora", "splits off magnitudes there; here a plain LoRA"),
    differs("lora_init_type", "the LoRA starts as PEFT starts it", harmless=("default",)),
    differs("peft_lora_mode", "here a plain LoRA", harmless=("standard",)),
    differs("pretrained_vae_model_name_or_path", "the base model's own VAE is used here"),
    differs("base_model_precision", "the base model is not quantised here", harmless=("no_change",)),
    differs("controlnet", "no ControlNet is trained here"),
    choice(
        "flux_lora_target",
        "lora_targets",
        {"all": "attention", "all+ffs": "attention+feed_forward"},
        near=dict.fromkeys(
            ("mmdit", "context", "tiny", "nano", "context+ffs", "ai-toolkit"),
            ("attention", "only some of the layers there; here all attention layers"),
        ),
        words="all is attention, all+ffs adds feed-forward",
    ),
    mapped("lora_rank", "rank", "rank", default=16),
    own("lora_alpha", "lora_alpha", _alpha, "unset is lora_rank", default=None),
    mapped("lora_dropout", "lora_dropout", default=0.1),
)

TRAINING: tuple[Key, ...] = (
    mapped("train_batch_size", "train_batch_size", default=4),
    mapped("gradient_accumulation_steps", "gradient_accumulation_steps", default=1),
    own("gradient_checkpointing", "gradient_checkpointing", _checkpointing, "", default=True),
    mapped("learning_rate", "learning_rate", default=4e-7),
    choice(
        "lr_scheduler",
        "lr_scheduler",
        COURSES,
        near={
            "sine": ("cosine", "rises and falls again there; cosine only falls"),
            "cosine_with_restarts": ("cosine", "starts again lr_num_cycles times there; here once"),
        },
        default="constant_with_warmup",
        words="sine and cosine_with_restarts become cosine",
    ),
    mapped("lr_warmup_steps", "lr_warmup_steps", default=0),
    differs("lr_end", "falls to 0 here"),
    differs("lr_num_cycles", "one fall here", harmless=("1", "1.0")),
    differs("lr_power", "a straight line here", harmless=("1", "1.0")),
    differs("lr_scale", "the learning rate is not scaled here"),
    own("max_train_steps", "max_train_steps", _steps, "0 means that num_train_epochs decides"),
    own("num_train_epochs", "max_train_steps", _epochs, "counted in optimizer steps here", standing="differs"),
    mapped("checkpoint_step_interval", "checkpointing_steps", "checkpointing_steps", default=500),
    own(
        "checkpoints_total_limit",
        "checkpoints_total_limit",
        _limit,
        "0 keeps all, which is unset here",
        "save_total_limit",
        default=5,
    ),
    choice(
        "mixed_precision",
        "mixed_precision",
        {"no": "no", "fp32": "no", "bf16": "bf16", "fp16": "fp16"},
        near={"fp8": ("bf16", "fp8 is not offered here")},
        default="bf16",
    ),
    mapped("seed", "seed"),
    own("max_grad_norm", "max_grad_norm", _clipping, "0 clips nothing", default=2.0),
    differs("grad_clip_method", "each value is clipped there; here the norm", harmless=("norm",), default="value"),
    own("snr_gamma", "snr_gamma", _gamma, "0 is unset; not read for flow matching", default=None),
    differs("use_soft_min_snr", "min-SNR as snr_gamma says here"),
    own("input_perturbation", "input_perturbation", _perturbation, "off together with rollout", default=0.0),
    differs("input_perturbation_steps", "the perturbation stays as strong throughout here", harmless=("0",)),
    differs("offset_noise", "noise has no offset here"),
    differs("noise_offset", "noise has no offset here", harmless=("0.0",)),
    mapped("adam_beta1", "adam_beta1", default=0.9),
    mapped("adam_beta2", "adam_beta2", default=0.999),
    _beta(1),
    _beta(2),
    mapped("adam_weight_decay", "adam_weight_decay", default=0.01),
    mapped("adam_epsilon", "adam_epsilon", default=1e-8),
    optimizer("optimizer", near={"adamw_bf16": "its weights are bf16 there, float32 here"}, default="adamw_bf16"),
    differs("optimizer_config", "AdamW with adam_beta1, adam_beta2, adam_weight_decay and adam_epsilon here"),
    differs("loss_type", "the squared error here", harmless=("l2",)),
    differs("use_ema", "the weights of the last step are the result here"),
    differs("prediction_type", SCHEDULE),
    differs("rescale_betas_zero_snr", SCHEDULE),
    *(
        differs(name, TIMESTEPS, harmless=("none", "0", "0.0"))
        for name in (
            "flow_schedule_auto_shift", "flow_use_uniform_schedule", "flow_use_beta_schedule", "timestep_bias_strategy",
            "training_scheduler_timestep_spacing",
        )
    ),
    flow_key("flow_schedule_shift", _flow_alone(3.0), _flow_alone(0.0), default=3.0),
    flow_key("flow_sigmoid_scale", _flow_alone(1.0), _flow_alone(1.0), default=1.0),
    differs("diff2flow_enabled", "the base model's own prediction is trained here"),
    guidance_key("flux_guidance_value", lambda values: family_there(values) == "flux", default=1.0),
    differs("flux_guidance_mode", "one value, embedded_guidance, here", harmless=("constant",)),
)  # fmt: skip

DATA: tuple[Key, ...] = (
    ignored("data_backend_config", "its data sets are read where the file is at hand"),
    mapped("instance_data_dir", "instance_data_dir", words="older files; now in the data backend"),
    mapped("instance_prompt", "instance_prompt"),
    mapped("caption_dropout_probability", "caption_dropout", default=0.0),
    own("resolution", "resolution", _resolution, "an area in megapixels becomes the side of a square", default=1024),
    ignored("resolution_type", "read with resolution"),
    ignored("aspect_bucket_alignment", "read with a data set that keeps shapes: what its sides are multiples of"),
    differs("aspect_bucket_rounding", "the sizes that aspect_ratio_buckets lists are all that there are here"),
    *(
        ignored(name, SAME_DATA)
        for name in (
            "caption_strategy", "minimum_image_size",
            "maximum_image_size", "target_downsample_size", "disable_bucket_pruning", "crop", "repeats",
            "aspect_ratio_bucketing",
        )
    ),
)  # fmt: skip

VALIDATION: tuple[Key, ...] = (
    mapped("validation_prompt", "validation_prompts"),
    mapped("num_validation_images", "num_validation_images", default=1),
    mapped("validation_step_interval", "validation_steps", "validation_steps", default=100),
    mapped("validation_num_inference_steps", "validation_num_inference_steps", default=30),
    own("validation_guidance", "validation_guidance_scale", _guidance, "below 1 is 1 here", default=7.5),
    mapped("validation_seed", "validation_seed"),
    differs("validation_negative_prompt", "guidance is against the empty prompt here"),
    differs("validation_guidance_real", "one guidance scale here", harmless=("1", "1.0")),
    differs("validation_guidance_rescale", "guidance is not rescaled here", harmless=("0.0",)),
    ignored("validation_resolution", "pictures are drawn at resolution"),
    differs("validation_prompt_library", "only the prompts of validation_prompts are drawn here"),
    differs("user_prompt_library", "only the prompts of validation_prompts are drawn here"),
    differs("validation_noise_scheduler", "the family's own sampler draws here"),
    *(
        ignored(name, "concerns its own way of showing pictures")
        for name in (
            "validation_disable_unconditional", "validation_torch_compile", "validation_on_startup",
            "validation_preview", "disable_benchmark", "num_eval_images", "eval_steps_interval", "evaluation_type",
        )
    ),
)  # fmt: skip

PROCESSES = mapped("num_processes", "num_processes")
TRACKERS = {"none": "none", "tensorboard": "tensorboard", "wandb": "wandb"}
TRACKING = choice(
    "report_to",
    "report_to",
    TRACKERS,
    near=dict.fromkeys(("comet_ml", "swanlab", "all", "custom-tracker"), ("none", "not offered here")),
    default="none",
)

SIMPLETUNER_KEYS: Mapping[str, Key] = {
    key.name: key for key in (*MODEL, *TRAINING, *DATA, *VALIDATION, TRACKING, PROCESSES, *REST, *ROLLOUT_KEYS)
}
MARKS = frozenset(
    {"model_family", "data_backend_config", "lora_rank", "lora_type", "model_type", "validation_guidance"}
) | {key.name for key in ROLLOUT_KEYS}
