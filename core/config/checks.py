"""What options have to agree on with each other. Each check reads flat values and says at most one sentence."""

from collections.abc import Callable, Mapping
from typing import Any

from core.config.scheduled_sampling import reach_problem
from core.errors import Problem

FLOW_FAMILIES = frozenset({"sd3", "flux"})
Values = Mapping[str, Any]


def last_timestep(family: str) -> int:
    """The noisiest timestep: 999 for variance preserving families, 1000 for flow matching ones."""
    return 1000 if family in FLOW_FAMILIES else 999


def _reach(values: Values) -> str | None:
    stride = values["scheduled_sampling_stride"]
    return reach_problem(values["scheduled_sampling_max_step_offset"], stride, last_timestep(values["family"]))


def _reach_on_inference_grid(values: Values) -> str | None:
    longest, points = values["scheduled_sampling_max_step_offset"], values["validation_num_inference_steps"]
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


def _embedded_revision(values: Values) -> str | None:
    return _unset_for_embedded("revision", values)


def _embedded_variant(values: Values) -> str | None:
    return _unset_for_embedded("variant", values)


def _unset_for_embedded(name: str, values: Values) -> str | None:
    if values["pretrained_model_name_or_path"] != "embedded" or values[name] is None:
        return None
    return f"{name} must be unset for the embedded base model, which has only one, got {values[name]!r}"


def _snr_gamma(values: Values) -> str | None:
    family, gamma = values["family"], values["snr_gamma"]
    if gamma is None or family not in FLOW_FAMILIES:
        return None
    return f"snr_gamma must be unset for {family}, whose flow matching loss has no min-SNR weighting, got {gamma}"


def _reflexflow(values: Values) -> str | None:
    family = values["family"]
    if values["scheduled_sampling_reflexflow"] is not True or family in FLOW_FAMILIES:
        return None
    return f"scheduled_sampling_reflexflow must be false or unset for {family}, which is not flow matching, got true"


def _visited_sampler(values: Values) -> str | None:
    if values["scheduled_sampling_mode"] != "visited" or values["scheduled_sampling_sampler"] != "rk4":
        return None
    return "scheduled_sampling_sampler must be unipc, euler or dpm with scheduled_sampling_mode = visited, got 'rk4'"


def _visited_guidance(values: Values) -> str | None:
    scale = values["scheduled_sampling_guidance_scale"]
    if values["scheduled_sampling_mode"] != "visited" or scale <= 1:
        return None
    return f"scheduled_sampling_guidance_scale must be 1 with scheduled_sampling_mode = visited, got {scale}"


def _visited_dropout(values: Values) -> str | None:
    dropout = values["lora_dropout"]
    if values["scheduled_sampling_mode"] != "visited" or dropout <= 0:
        return None
    return f"lora_dropout must be 0 with scheduled_sampling_mode = visited, got {dropout}"


CHECKS: tuple[tuple[tuple[str, ...], Callable[[Values], str | None]], ...] = (
    (("scheduled_sampling_max_step_offset", "scheduled_sampling_stride", "family"), _reach),
    (
        ("scheduled_sampling_max_step_offset", "scheduled_sampling_stride", "validation_num_inference_steps"),
        _reach_on_inference_grid,
    ),
    (("class_prompt", "with_prior_preservation"), _class_prompt),
    (("class_data_dir", "instance_data_dir"), _two_folders),
    (("revision", "pretrained_model_name_or_path"), _embedded_revision),
    (("variant", "pretrained_model_name_or_path"), _embedded_variant),
    (("snr_gamma", "family"), _snr_gamma),
    (("scheduled_sampling_reflexflow", "family"), _reflexflow),
    (("scheduled_sampling_sampler", "scheduled_sampling_mode"), _visited_sampler),
    (("scheduled_sampling_guidance_scale", "scheduled_sampling_mode"), _visited_guidance),
    (("lora_dropout", "scheduled_sampling_mode"), _visited_dropout),
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
