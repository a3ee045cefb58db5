"""What options have to agree on with each other. Each check reads flat values and says at most one sentence."""

from collections.abc import Callable, Mapping
from typing import Any

from core.config.base_model import MIXED_FAMILY, flow_matching_known, last_timestep
from core.config.paths import EMBEDDED_BASES, is_single_file
from core.config.scheduled_sampling import reach_problem
from core.data.buckets import parse_buckets
from core.errors import Problem

Values = Mapping[str, Any]
MODEL = ("family", "pretrained_model_name_or_path", "single_file_config")
LENGTH = "scheduled_sampling_max_step_offset"


def _rollout_off(values: Values) -> bool:
    """K = 0 is the one off switch: the other rollout options are kept for later, and judged when it is turned on."""
    return values[LENGTH] == 0


def _reach(values: Values) -> str | None:
    last = last_timestep(*_model(values))
    return reach_problem(values[LENGTH], values["scheduled_sampling_stride"], last)


def _reach_on_inference_grid(values: Values) -> str | None:
    longest, points = values[LENGTH], values["validation_num_inference_steps"]
    if values["scheduled_sampling_stride"] != "inference" or longest <= points:
        return None
    return (
        f"scheduled_sampling_max_step_offset must be at most validation_num_inference_steps ({points}) "
        f"with scheduled_sampling_stride = inference, got {longest}; lower it"
    )


def _class_prompt(values: Values) -> str | None:
    if not values["with_prior_preservation"] or values["class_prompt"] is not None:
        return None
    return (
        "class_prompt must be given with with_prior_preservation = true, got nothing; "
        "write it, or turn prior preservation off"
    )


def _two_folders(values: Values) -> str | None:
    folder = values["class_data_dir"]
    if folder is None or folder.rstrip("/") != values["instance_data_dir"].rstrip("/"):
        return None
    return f"class_data_dir must be another folder than instance_data_dir, got {folder!r} for both"


def _only_revision(values: Values) -> str | None:
    return _unset_where_one("revision", values)


def _only_variant(values: Values) -> str | None:
    return _unset_where_one("variant", values)


def _unset_where_one(name: str, values: Values) -> str | None:
    base = values["pretrained_model_name_or_path"]
    if values[name] is None or not (base in EMBEDDED_BASES or is_single_file(base)):
        return None
    what = "an embedded base model" if base in EMBEDDED_BASES else "a single file"
    return f"{name} must be unset for {what}, which has only one, got {values[name]!r}"


def _single_file_config(values: Values) -> str | None:
    _, base, folder = _single_file(values)
    if not is_single_file(base):
        rule = "single_file_config must be unset for a base model that is no .safetensors file"
        return None if folder is None else f"{rule}, got {folder!r}"
    if folder is not None:
        return None
    return (
        f"single_file_config must be given for a single file, got nothing for {base!r}; name a diffusers folder of a "
        "model of the same kind, which lends configurations and tokenizer"
    )


def _single_file(values: Values) -> tuple[str, str, str | None]:
    return values["family"], values["pretrained_model_name_or_path"], values["single_file_config"]


def _snr_gamma(values: Values) -> str | None:
    gamma = values["snr_gamma"]
    if gamma is None or not flow_matching_known(*_model(values)):
        return None
    rule = f"snr_gamma must be unset for {_decided_by(values)}, whose flow matching loss has no min-SNR weighting"
    return f"{rule}, got {gamma}"


def _reflexflow(values: Values) -> str | None:
    if _rollout_off(values) or values["scheduled_sampling_reflexflow"] is not True:
        return None
    if flow_matching_known(*_model(values)) is not False:  # where it is not known, the loaded model decides
        return None
    rule = f"scheduled_sampling_reflexflow must be false or unset for {_decided_by(values)}, which is not flow matching"
    return f"{rule}, got true"


def _model(values: Values) -> tuple[str, str]:
    """Family of the base model, and what names the folder that describes it."""
    family, base, folder = _single_file(values)
    return family, base if folder is None else folder


def _decided_by(values: Values) -> str:
    """What decides the kind of the base model: the family, or the very model where a family has both kinds."""
    family, base, _ = _single_file(values)
    return base if family == MIXED_FAMILY else family


def _embedded_guidance(values: Values) -> str | None:
    family, guidance = values["family"], values["embedded_guidance"]
    if guidance is None or family == "flux":
        return None
    return f"embedded_guidance must be unset for {family}, whose network is told no guidance, got {guidance}"


def _distilled(values: Values) -> str | None:
    scale = values["scheduled_sampling_guidance_scale"]
    if values["family"] != "flux" or scale <= 1 or _rollout_off(values):
        return None
    rule = "scheduled_sampling_guidance_scale must be 1 for flux, whose networks were distilled from guidance"
    return f"{rule}, got {scale}; embedded_guidance is what they are told"


def _visited(values: Values) -> bool:
    return values["scheduled_sampling_mode"] == "visited" and not _rollout_off(values)


def _visited_sampler(values: Values) -> str | None:
    if not _visited(values) or values["scheduled_sampling_sampler"] != "rk4":
        return None
    return "scheduled_sampling_sampler must be unipc, euler or dpm with scheduled_sampling_mode = visited, got 'rk4'"


def _visited_guidance(values: Values) -> str | None:
    scale = values["scheduled_sampling_guidance_scale"]
    if not _visited(values) or scale <= 1:
        return None
    return f"scheduled_sampling_guidance_scale must be 1 with scheduled_sampling_mode = visited, got {scale}"


def _visited_dropout(values: Values) -> str | None:
    dropout = values["lora_dropout"]
    if not _visited(values) or dropout <= 0:
        return None
    return f"lora_dropout must be 0 with scheduled_sampling_mode = visited, got {dropout}"


def _input_perturbation(values: Values) -> str | None:
    strength = values["input_perturbation"]
    if strength == 0 or _rollout_off(values):
        return None
    return f"input_perturbation must be 0 with {LENGTH} above 0, got {strength}; it is a control without rollout"


def _buckets(values: Values) -> str | None:
    if values["aspect_ratio_buckets"] is None:
        return None
    try:
        parse_buckets(values["aspect_ratio_buckets"])
    except ValueError as error:
        rule = "aspect_ratio_buckets must be pairs such as 512,512;448,576 (height,width), multiples of 8"
        return f"{rule}, got {error}"
    return None


def _placebo(values: Values) -> str | None:
    name = values["placebo_of"]
    if name is None or not (_rollout_off(values) or _visited(values)):
        return None
    if _visited(values):
        return f"placebo_of must be unset with scheduled_sampling_mode = visited, got {name!r}; take mode fresh"
    return f"placebo_of must be unset with {LENGTH} = 0, got {name!r}; it stands in for a rollout"


def _text_encoder_lr(values: Values) -> str | None:
    rate = values["text_encoder_lr"]
    if rate is None or values["train_text_encoder"]:
        return None
    return f"text_encoder_lr must be unset with train_text_encoder = false, got {rate}"


def _text_encoder_prodigy(values: Values) -> str | None:
    rate = values["text_encoder_lr"]
    if rate is None or values["optimizer"] != "prodigy" or not values["train_text_encoder"]:
        return None
    return f"text_encoder_lr must be unset with optimizer = prodigy, which finds one step size for all, got {rate}"


def _text_encoder_dropout(values: Values) -> str | None:
    dropout = values["lora_dropout"]
    if dropout == 0 or not values["train_text_encoder"]:
        return None
    rule = "lora_dropout must be 0 with train_text_encoder = true: rollouts and loss of a step share their conditions"
    return f"{rule}, got {dropout}"


CHECKS: tuple[tuple[tuple[str, ...], Callable[[Values], str | None]], ...] = (
    ((LENGTH, "scheduled_sampling_stride", *MODEL), _reach),
    ((LENGTH, "scheduled_sampling_stride", "validation_num_inference_steps"), _reach_on_inference_grid),
    (("class_prompt", "with_prior_preservation"), _class_prompt),
    (("class_data_dir", "instance_data_dir"), _two_folders),
    (("revision", "pretrained_model_name_or_path"), _only_revision),
    (("variant", "pretrained_model_name_or_path"), _only_variant),
    (("single_file_config", *MODEL), _single_file_config),
    (("snr_gamma", *MODEL), _snr_gamma),
    (("scheduled_sampling_reflexflow", LENGTH, *MODEL), _reflexflow),
    (("embedded_guidance", "family"), _embedded_guidance),
    (("scheduled_sampling_guidance_scale", "family", LENGTH), _distilled),
    (("scheduled_sampling_sampler", "scheduled_sampling_mode", LENGTH), _visited_sampler),
    (("scheduled_sampling_guidance_scale", "scheduled_sampling_mode", LENGTH), _visited_guidance),
    (("lora_dropout", "scheduled_sampling_mode", LENGTH), _visited_dropout),
    (("input_perturbation", LENGTH), _input_perturbation),
    (("aspect_ratio_buckets",), _buckets),
    (("placebo_of", "scheduled_sampling_mode", LENGTH), _placebo),
    (("text_encoder_lr", "train_text_encoder"), _text_encoder_lr),
    (("text_encoder_lr", "optimizer", "train_text_encoder"), _text_encoder_prodigy),
    (("lora_dropout", "train_text_encoder"), _text_encoder_dropout),
)
"""The options a check reads, the one it complains about first, and the check."""


def cross_problems(values: Values) -> tuple[Problem, ...]:
    """Everything that the given options contradict each other in.

    Args:
        values: Flat names and valid values; a check that misses one of its options is left out.
    """
    found = []
    for options, check in CHECKS:
        message = check(values) if all(name in values for name in options) else None
        if message is not None:
            found.append(Problem(options[0], message))
    return tuple(found)
