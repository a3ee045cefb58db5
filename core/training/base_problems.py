"""What of a configuration only the loaded base model can tell to be wrong."""

from torch import Tensor, nn

from core.config.run import RunConfig
from core.config.scheduled_sampling import reach_problem
from core.data.buckets import parse_buckets
from core.errors import Problem
from core.models.family import Family
from core.training.objective import MIN_SNR_KINDS


def model_problems(config: RunConfig, family: Family) -> list[Problem]:
    """Everything that the loaded base model cannot honour of a configuration; empty if it can be trained."""
    problems, rollout = [], config.scheduled_sampling
    reach = reach_problem(rollout.max_step_offset, rollout.stride, family.schedule.last)
    if reach is not None:
        problems.append(Problem("scheduled_sampling_max_step_offset", reach))
    if config.training.snr_gamma is not None and family.kind not in MIN_SNR_KINDS:
        rule = f"snr_gamma must be unset for a {family.kind} base model, got {config.training.snr_gamma}"
        problems.append(Problem("snr_gamma", rule))
    if family.kind != "flow_matching" and rollout.max_step_offset > 0 and rollout.reflexflow is True:
        rule = f"scheduled_sampling_reflexflow must be false or unset for a {family.kind} base model, got true"
        problems.append(Problem("scheduled_sampling_reflexflow", rule))
    if rollout.max_step_offset > 0 and rollout.mode == "visited" and _has_dropout(family.network):
        rule = "scheduled_sampling_mode must be fresh for a base model with dropout of its own, got visited"
        problems.append(Problem("scheduled_sampling_mode", rule))
    problems += _resolution_problems(config, family)
    guidance = config.validation.validation_guidance_scale
    if not family.guides_samples and guidance != 1:
        rule = f"validation_guidance_scale must be 1 for a base model that takes no guidance, got {guidance}"
        problems.append(Problem("validation_guidance_scale", rule))
    if not problems and not bool((own_grid(config, family) > 0).any()):
        steps = config.validation.validation_num_inference_steps
        rule = f"validation_num_inference_steps must be at least 2 for the sampler of this base model, got {steps}"
        problems.append(Problem("validation_num_inference_steps", rule))
    if family.kind == "epsilon" and rollout.enabled and family.schedule.ends_in_pure_noise:
        rule = (
            "scheduled_sampling_max_step_offset must be 0 for an epsilon model whose noise schedule ends in pure noise"
        )
        problems.append(Problem("scheduled_sampling_max_step_offset", rule))
    return problems


def _resolution_problems(config: RunConfig, family: Family) -> list[Problem]:
    data = config.data
    problems = _side_problems("resolution", data.resolution, family)
    for size in () if data.aspect_ratio_buckets is None else parse_buckets(data.aspect_ratio_buckets):
        for side in dict.fromkeys(size):
            problems += _side_problems("aspect_ratio_buckets", side, family)
    return problems


def _side_problems(option: str, side: int, family: Family) -> list[Problem]:
    multiple, largest = family.resolution_multiple, family.largest_resolution
    rules = []
    if side % multiple:
        rules.append(f"a multiple of {multiple} for this base model")
    if largest is not None and side > largest:
        rules.append(f"at most {largest} for this base model")
    what = option if option == "resolution" else f"every side in {option}"
    return [Problem(option, f"{what} must be {rule}, got {side}") for rule in rules]


def _has_dropout(network: nn.Module) -> bool:
    return any(isinstance(part, nn.Dropout) and part.p > 0 for part in network.modules())


def own_grid(config: RunConfig, family: Family) -> Tensor:
    """The timesteps of the preset's own sampler, ascending."""
    steps = config.validation.validation_num_inference_steps
    return family.sampling_grid(steps, config.data.resolution)
