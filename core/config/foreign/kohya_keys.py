"""The keys of kohya's sd-scripts (``train_network.py`` and its kin), with those names that its GUI gives them."""

from collections.abc import Mapping
from typing import Any

from core.config.foreign.flow_keys import T5, ByModel, flow_key, guidance_key
from core.config.foreign.kohya_data import BUCKET_SIZES, BUCKETS, MASKS, take_buckets, take_mask, take_resolution
from core.config.foreign.kohya_encoders import text_encoder_lr, unet_only
from core.config.foreign.mapping import Key, Took, Values, as_number, choice, differs, ignored, mapped, optimizer, own
from core.config.foreign.simpletuner_keys import COURSES, SCHEDULE
from core.config.foreign.simpletuner_rest import MACHINE, STORE
from core.config.foreign.values import number_of, switch_of

SCRIPT = "script"
MODULES = {"networks.lora_flux": "flux", "networks.lora_sd3": "sd3"}
SCRIPTS = {
    "train_network.py": "stable_diffusion",
    "sdxl_train_network.py": "sdxl",
    "sd3_train_network.py": "sd3",
    "flux_train_network.py": "flux",
}


def family_of(values: Values) -> tuple[str, bool]:
    """The family, and whether the file says so; a guess by the model's name and the resolution where it does not."""
    script = str(values.get(SCRIPT, "")).lower()
    if script in SCRIPTS:
        return SCRIPTS[script], True
    module = MODULES.get(str(values.get("network_module", "")).strip().lower())
    if module is not None:
        return module, True
    for name, family in {"sdxl": "sdxl", "sd3_checkbox": "sd3", "flux1_checkbox": "flux"}.items():
        if switch_of(values.get(name)):
            return family, True
    if switch_of(values.get("v2")):
        return "stable_diffusion", True
    model = str(values.get("pretrained_model_name_or_path", "")).lower()
    sides = [number_of(part) for part in str(values.get("resolution", "")).split(",")]
    large = any(side is not None and side >= 1024 for side in sides)
    return ("sdxl" if "xl" in model or large else "stable_diffusion"), False


def _script(value: Any, values: Values) -> Took:
    family = SCRIPTS.get(str(value).lower())
    if family is None:
        return Took("differs", words="not a LoRA script of a family that is trained here")
    return Took("mapped", {"family": family})


def _module(value: Any, values: Values) -> Took:
    word = str(value).strip().lower()
    if word in MODULES:
        return Took("mapped", {"family": MODULES[word]})
    if word == "networks.lora":
        return Took("ignored", words="a LoRA, as here")
    return Took("differs", words="another kind of adapter there; here a LoRA of the same rank")


def _unet_lr(value: Any, values: Values) -> Took:
    if number_of(value) == 0:
        return Took("ignored", words="0 is unset in the GUI")
    return Took("mapped", {"learning_rate": value})


def _learning_rate(value: Any, values: Values) -> Took:
    if as_number(values, "unet_lr") > 0:
        return Took("ignored", words="unet_lr decides for the denoiser")
    return Took("mapped", {"learning_rate": value})


def _steps(value: Any, values: Values) -> Took:
    if as_number(values, "max_train_epochs") > 0:
        return Took("ignored", words="max_train_epochs decides there")
    if number_of(value) == 0:
        return Took("ignored", words="0 is unset there")
    return Took("mapped", {"max_train_steps": value})


def _warmup(value: Any, values: Values) -> Took:
    number, steps = number_of(value), as_number(values, "max_train_steps")
    if number is not None and 0 < number < 1:
        return Took("differs", {"lr_warmup_steps": round(number * steps)}, "a share of the training there")
    return Took("mapped", {"lr_warmup_steps": value})


def _warmup_percent(value: Any, values: Values) -> Took:
    number, steps = number_of(value), as_number(values, "max_train_steps")
    if number is None or not 0 <= number <= 100:
        return Took("mapped", {"lr_warmup_steps": value})
    if number > 0 and steps <= 0:
        return Took("differs", words="per cent of a training in epochs there: give lr_warmup_steps")
    return Took("differs", {"lr_warmup_steps": round(number / 100 * steps)}, "per cent of the training there")


def _zero_is_unset(option: str) -> Any:
    def take(value: Any, values: Values) -> Took:
        return Took("mapped", {option: None if number_of(value) == 0 else value})

    return take


def _seed(value: Any, values: Values) -> Took:
    return Took("mapped", {"seed": value})


def _clipping(value: Any, values: Values) -> Took:
    if number_of(value) == 0:
        return Took("differs", {"max_grad_norm": 1e6}, "0 clips nothing there; here that is a norm no gradient reaches")
    return Took("mapped", {"max_grad_norm": value})


def _random_crop(value: Any, values: Values) -> Took:
    switch = switch_of(value)
    return Took("mapped", {"center_crop": value if switch is None else not switch})


def _dropout(value: Any, values: Values) -> Took:
    if number_of(value) in (None, 0):
        return Took("mapped", {"lora_dropout": value})
    return Took("differs", {"lora_dropout": value}, "drops the LoRA's inner values there; its inputs here")


def _optimizer_args(value: Any, values: Values) -> Took:
    """``weight_decay=0.01 betas=0.9,0.99 eps=1e-8``, as a text or a list."""
    words = value if isinstance(value, list) else str(value).replace(", ", ",").split()
    options: dict[str, Any] = {}
    left = []
    for word in map(str, words):
        name, _, text = word.partition("=")
        pair = text.strip("()[]").split(",")
        if name == "weight_decay":
            options["adam_weight_decay"] = text
        elif name == "eps":
            options["adam_epsilon"] = text
        elif name == "betas" and len(pair) == 2:
            options |= {"adam_beta1": pair[0], "adam_beta2": pair[1]}
        else:
            left.append(name)
    if left:
        return Took("differs", options, f"without {', '.join(left)}")
    return Took("mapped", options) if options else Took("ignored", words="empty")


def _alpha(value: Any, values: Values) -> Took:
    return Took("mapped", {"lora_alpha": values.get("network_dim", 4) if number_of(value) == 0 else value})


def _of(**by_family: Any) -> ByModel:
    """A value by the family of the script."""
    return lambda values: by_family.get(family_of(values)[0])


def _switch(name: str, option: str, *aliases: str, default: Any = False) -> Key:
    def take(value: Any, values: Values) -> Took:
        switch = switch_of(value)
        return Took("mapped", {option: value if switch is None else switch})

    return own(name, option, take, "", *aliases, default=default)


KEYS: tuple[Key, ...] = (
    own(SCRIPT, "family", _script, "its name tells the family"),
    own("network_module", "family", _module, "networks.lora_flux and networks.lora_sd3 tell the family"),
    *(
        ignored(name, "tells the family")
        for name in ("v2", "sdxl", "sd3_checkbox", "flux1_checkbox", "LoRA_type", "clip_l", "clip_g", "t5xxl", "ae")
    ),
    differs("v_parameterization", SCHEDULE),
    differs("zero_terminal_snr", SCHEDULE),
    mapped("pretrained_model_name_or_path", "pretrained_model_name_or_path"),
    differs("vae", "the base model's own VAE is used here"),
    mapped("train_data_dir", "instance_data_dir", "image_dir", words="its `N_token class` folders are read here too"),
    mapped("reg_data_dir", "class_data_dir", words="turns prior preservation on"),
    ignored("dataset_config", "read where the file is at hand"),
    ignored("is_reg", "tells class pictures from the subject's"),
    own("resolution", "resolution", take_resolution, "a rectangle becomes a square", "max_resolution", default=512),
    own("random_crop", "center_crop", _random_crop, "without it, cut in the middle", default=False),
    _switch("flip_aug", "random_flip"),
    differs("color_aug", "colours are left as they are here"),
    own("enable_bucket", "aspect_ratio_buckets", take_buckets, BUCKETS, standing="differs"),
    *(ignored(name, "read with enable_bucket") for name in BUCKET_SIZES),
    differs("bucket_no_upscale", "small pictures are scaled up to their bucket here"),
    own("masked_loss", "masked_loss", take_mask, MASKS, standing="differs", default=False),
    differs("alpha_mask", "transparency is no mask here: write masks beside the pictures, and set masked_loss"),
    differs("conditioning_data_dir", "masks are read from masks/ in the folder of the pictures: put them there"),
    differs("shuffle_caption", "captions are taken as they stand"),
    differs("keep_tokens", "captions are taken as they stand"),
    ignored("caption_extension", ".txt and .caption are both read here"),
    mapped("caption_dropout_rate", "caption_dropout", default=0.0),
    mapped("prior_loss_weight", "prior_loss_weight", default=1.0),
    mapped("network_dim", "rank", default=4),
    own("network_alpha", "lora_alpha", _alpha, "0 is network_dim", default=1),
    own("network_dropout", "lora_dropout", _dropout, "its inner values there, its inputs here", default=0.0),
    differs("network_args", "lora_targets chooses groups of layers here"),
    differs("network_weights", "continues a LoRA there; here training starts from a new one"),
    differs("rank_dropout", "lora_dropout alone here"),
    differs("module_dropout", "lora_dropout alone here"),
    differs("scale_weight_norms", "the LoRA's norm is not limited here"),
    own(
        "network_train_unet_only",
        "train_text_encoder",
        unet_only,
        "left out, the text encoders are trained; their feed-forward there too",
        standing="differs",
        default=False,
    ),
    own("text_encoder_lr", "text_encoder_lr", text_encoder_lr, "one for all encoders here", default=None),
    differs("network_train_text_encoder_only", "the denoiser is what is trained here"),
    own("unet_lr", "learning_rate", _unet_lr, "wins over learning_rate"),
    own("learning_rate", "learning_rate", _learning_rate, "where there is no unet_lr", default=2e-6),
    mapped("train_batch_size", "train_batch_size", "batch_size", default=1),
    mapped("gradient_accumulation_steps", "gradient_accumulation_steps", default=1),
    _switch("gradient_checkpointing", "gradient_checkpointing"),
    choice(
        "lr_scheduler",
        "lr_scheduler",
        COURSES,
        near={
            "cosine_with_restarts": ("cosine", "starts again lr_scheduler_num_cycles times there; here once"),
            "adafactor": ("constant", "belongs to its optimizer"),
        },
        default="constant",
        words="cosine_with_restarts becomes cosine",
    ),
    own("lr_warmup_steps", "lr_warmup_steps", _warmup, "below 1 a share of the training", default=0),
    own("lr_warmup", "lr_warmup_steps", _warmup_percent, "the GUI's per cent of the training", standing="differs"),
    differs("lr_scheduler_num_cycles", "one fall here", harmless=("1",)),
    differs("lr_scheduler_power", "a straight line here", harmless=("1", "1.0")),
    own("max_train_steps", "max_train_steps", _steps, "max_train_epochs wins over it", default=1600),
    own(
        "max_train_epochs",
        "max_train_steps",
        lambda value, values: Took("ignored", words="unset"),
        "epochs × pictures × repeats / batch, where the pictures are at hand",
        "epoch",
        standing="differs",
    ),
    mapped("save_every_n_steps", "checkpointing_steps"),
    differs("save_every_n_epochs", "counted in optimizer steps here: checkpointing_steps"),
    differs("save_last_n_steps", "counted in checkpoints here: checkpoints_total_limit"),
    differs("save_last_n_epochs", "counted in checkpoints here: checkpoints_total_limit"),
    mapped("mixed_precision", "mixed_precision", default="no"),
    differs("full_bf16", "the LoRA's weights are float32 here"),
    differs("full_fp16", "the LoRA's weights are float32 here"),
    differs("fp8_base", "the base model is not quantised here"),
    own("seed", "seed", _seed, "unset there, each training has another one"),
    own("max_grad_norm", "max_grad_norm", _clipping, "0 clips nothing", default=1.0),
    own("min_snr_gamma", "snr_gamma", _zero_is_unset("snr_gamma"), "0 is unset", default=0),
    optimizer("optimizer_type", "optimizer", default="AdamW"),
    own("optimizer_args", "adam_weight_decay", _optimizer_args, "weight_decay, betas and eps"),
    differs("noise_offset", "noise has no offset here", harmless=("0.0",)),
    differs("multires_noise_iterations", "plain noise here"),
    differs("ip_noise_gamma", "see input_perturbation, a control without rollout"),
    differs("adaptive_noise_scale", "noise has no offset here", harmless=("0.0",)),
    differs("clip_skip", "the text encoder's last layers are used as the base model's pipeline does", harmless=("1",)),
    differs("max_token_length", "prompts have the pipeline's own length here", harmless=("75",)),
    differs("loss_type", "the squared error here", harmless=("l2",)),
    flow_key("timestep_sampling", _of(flux="sigma"), _of(flux="sigmoid")),
    flow_key("sigmoid_scale", _of(flux=1), _of(flux=1)),
    ignored("discrete_flow_shift", "read with timestep_sampling"),
    flow_key("weighting_scheme", _of(sd3="uniform"), _of(sd3="logit_normal")),
    flow_key("logit_mean", _of(sd3=0), _of(sd3=0)),
    flow_key("logit_std", _of(sd3=1), _of(sd3=1)),
    ignored("mode_scale", "read with weighting_scheme"),
    flow_key("training_shift", _of(sd3=1), _of(sd3=1)),
    flow_key("model_prediction_type", _of(flux="sigma_scaled"), _of(flux="raw"), "the network's own output here"),
    guidance_key("guidance_scale", lambda values: family_of(values)[0] == "flux"),
    flow_key("t5xxl_max_token_length", _of(sd3=256, flux=512), _of(sd3=256, flux=512), T5),
    differs("apply_t5_attn_mask", "T5's padding is seen here, as its pipeline shows it"),
    differs("min_timestep", "all timesteps are trained here"),
    differs("max_timestep", "all timesteps are trained here", harmless=("1000",)),
    differs("sample_prompts", "only a list of prompts is taken; their flags are not"),
    mapped("sample_every_n_steps", "validation_steps"),
    differs("sample_every_n_epochs", "counted in optimizer steps here: validation_steps"),
    ignored("sample_sampler", "the family's own sampler draws here"),
    mapped("num_processes", "num_processes"),
    *(ignored(name, STORE) for name in ("output_dir", "output_name", "logging_dir", "log_prefix", "save_model_as")),
    choice("log_with", "report_to", {"tensorboard": "tensorboard", "wandb": "wandb"}, near={"all": ("none", "one")}),
    *(
        ignored(name, MACHINE)
        for name in (
            "save_precision", "cache_latents", "cache_latents_to_disk", "cache_text_encoder_outputs", "vae_batch_size",
            "cache_text_encoder_outputs_to_disk", "xformers", "sdpa", "mem_eff_attn", "lowram", "highvram",
            "blocks_to_swap", "max_data_loader_n_workers", "persistent_data_loader_workers", "no_half_vae",
            "num_cpu_threads_per_process", "training_comment",
            "metadata_title", "metadata_author", "save_state", "num_machines", "dynamo_backend",
        )
    ),
)  # fmt: skip
KOHYA_KEYS: Mapping[str, Key] = {key.name: key for key in KEYS}
