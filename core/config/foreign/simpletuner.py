"""SimpleTuner: reads its ``config.json``, and writes one for the same training."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.config.flat import flatten
from core.config.foreign.epochs import EpochPlan, count_pictures, finding_of
from core.config.foreign.flow_keys import is_schnell
from core.config.foreign.mapping import Mapped, apply, as_number, bare, by_name, settled
from core.config.foreign.ramps import RampThere, ramp_rows
from core.config.foreign.report import Finding, RampRow
from core.config.foreign.simpletuner_data import (
    FILE_NAME,
    PLACE,
    backend_findings,
    backends_of,
    has_masks,
    lost_of,
    read_backends,
    subject_of,
)
from core.config.foreign.simpletuner_keys import MARKS, SIMPLETUNER_KEYS
from core.config.foreign.simpletuner_rollout import FLOW_FAMILIES, OLDER_FAMILIES, PREFIX, ramp_there
from core.config.foreign.source import Imported, Reader, Source
from core.config.foreign.values import without_secrets
from core.config.paths import resolve_path
from core.config.run import RunConfig
from core.config.spec import option_specs
from core.models.guidance import GUIDANCE

BACKENDS = "backends"
OWN_NAME = "config.json"
FAMILY_NAMES = {"stable_diffusion": "sd1x", "sdxl": "sdxl", "sd3": "sd3", "flux": "flux"}
OPTIMIZER_NAMES = {"adamw": "adamw", "adamw_8bit": "bnb-adamw8bit", "prodigy": "prodigy"}
TARGETS = {"attention": "all", "attention+feed_forward": "all+ffs", "all": "all+ffs"}
IN_BACKENDS = frozenset({"instance_data_dir", "instance_prompt", "center_crop", "aspect_ratio_buckets"})
"""Options that its list of data sets holds, not its config."""
ROLLOUT = tuple(name for name in SIMPLETUNER_KEYS if name.startswith(PREFIX))
WRITTEN_ANEW = frozenset({*ROLLOUT, "num_train_epochs"})
"""Keys that behave there as the config does here only in our own words."""
UNSAID: Mapping[str, str] = {
    "single_file_config": "it reads single files in its own way",
    "class_data_dir": "its regularisation data are trained towards what the base model predicts",
    "class_prompt": "see class_data_dir",
    "with_prior_preservation": "see class_data_dir",
    "prior_loss_weight": "see class_data_dir",
    "num_class_images": "see class_data_dir",
    "random_flip": "it mirrors no pictures",
    "train_text_encoder": "it trains the denoiser alone",
    "text_encoder_lr": "it trains the denoiser alone",
    "masked_loss": "its masks are a data set of their own: add one with conditioning_type mask",
    "unmasked_weight": "nothing of what a mask shows in black counts there",
    "accelerate_config_path": "its launcher has its own settings",
    "placebo_of": "a control of this workbench",
    "drift_pairs": "a measurement of this workbench",
    "drift_samples": "a measurement of this workbench",
    PREFIX + "stride": "an offset is one training timestep there",
    PREFIX + "mode": "rollouts are drawn anew for each batch there",
    PREFIX + "target": "the target is the noise's own there",
    PREFIX + "guidance_scale": "rollouts are not guided there",
}
"""Options that its config cannot say, and why."""
MASKED = frozenset({"masked_loss", "unmasked_weight"})
SAID_BY_MANNER = {PREFIX + "stride": 1, PREFIX + "target": "original", PREFIX + "mode": "fresh"}
"""What a rollout there always is; other values cannot be said."""


def read(source: Source) -> Imported:
    """Takes over a config, and the list of data sets that it names where that is at hand."""
    mapped = apply(source.table, SIMPLETUNER_KEYS)
    backends = read_backends(source)
    rows, options = list(mapped.findings), dict(mapped.options)
    data = [] if backends is None else backend_findings(source, backends)
    for row in data:
        options |= row.options
    rows += data
    if PLACE in _names(source) and backends is None:
        words = "it was not at hand: give instance_data_dir and instance_prompt"
        rows = [replace(row, standing="differs", words=words) if bare(row.key) == PLACE else row for row in rows]
    length = _length(source, mapped, options, backends)
    if length is not None:
        rows = [row for row in rows if bare(row.key) != "num_train_epochs"] + [length]
        options |= length.options
    files = {} if backends is None else {BACKENDS: without_secrets(backends)}
    values = {name: value for name, (_, value) in by_name(source.table, SIMPLETUNER_KEYS)[0].items()}
    ramp = ramp_there(values)
    return Imported("simpletuner", settled(rows), options, mapped.kept, mapped.problems, ramp, files)


def _names(source: Source) -> set[str]:
    return {bare(key) for key in source.table}


def _length(
    source: Source, mapped: Mapped, options: Mapping[str, Any], backends: Sequence[Mapping[str, Any]] | None
) -> Finding | None:
    """The training's length where epochs decide it; None where steps do."""
    if "max_train_steps" in options:
        return None
    found, _ = by_name(source.table, SIMPLETUNER_KEYS)
    values = {name: value for name, (_, value) in found.items()}
    place = None if backends is None else subject_of(backends)
    repeats = 0.0 if backends is None or place is None else as_number(backends[place], "repeats")
    folder = source.find(options.get("instance_data_dir"))
    pictures = None if folder is None else count_pictures(folder)
    key = found["num_train_epochs"][0] if "num_train_epochs" in found else "num_train_epochs"
    plan = EpochPlan(
        key=key,
        epochs=max(as_number(values, "num_train_epochs", 1.0), 0.0),
        batch=max(1, int(as_number(options, "train_batch_size", 1))),
        accumulation=max(1, int(as_number(options, "gradient_accumulation_steps", 1))),
        items=None if pictures is None else int(pictures * (1 + max(repeats, 0.0))),
    )
    return finding_of(plan)


@dataclass(frozen=True)
class Exported:
    """A SimpleTuner config for a training of this workbench.

    Attributes:
        config: What its ``config.json`` holds.
        backends: What its list of data sets holds.
        backends_name: The file name that the config gives that list.
        losses: Sentences about what it cannot say.
        ramp: Its ramp, as it behaves there.
        ramps: Both ramps as numbers.
    """

    config: dict[str, Any]
    backends: list[dict[str, Any]]
    backends_name: str
    losses: tuple[str, ...]
    ramp: RampThere
    ramps: tuple[RampRow, ...]


def write(config: RunConfig, kept: Mapping[str, Any], files: Mapping[str, Any]) -> Exported:
    """The config for the same training there, with what was kept of an import in it again.

    Args:
        config: What is trained here.
        kept: A config of SimpleTuner as it was imported, empty for none. What no option stands for goes out as it
            came, and so does what still means the same; its other keys get the config's values.
        files: Its list of data sets as it was imported, under ``BACKENDS``.
    """
    flat = flatten(config)
    table, place = _again(kept, flat), f"config/{FILE_NAME}"
    named = {name: spelt for name, (spelt, _) in by_name(table, SIMPLETUNER_KEYS)[0].items()}
    for key in SIMPLETUNER_KEYS.values():
        if key.name not in named and key.option and key.option not in IN_BACKENDS and key.name not in OLDER_FAMILIES:
            value = _value_there(key.name, key.option, flat)
            if value is not None:
                table[key.name] = value
    usual = {"model_type": "lora", "lora_type": "standard", "grad_clip_method": "norm"}
    usual |= {"flow_schedule_shift": 0} if flat["family"] in FLOW_FAMILIES else {}  # left out, timesteps are shifted
    table |= {name: value for name, value in {**usual, PLACE: place}.items() if name not in named}
    ramp = ramp_there({name: _value_there(name, name, flat) for name in ROLLOUT})
    backends, spelt = files.get(BACKENDS), named.get(PLACE, PLACE)
    if _name_in(table[spelt]) in ("", OWN_NAME):  # it would lie where the config itself does
        table[spelt] = place
    made = backends_of(flat, backends if isinstance(backends, list) else [])
    return Exported(
        config=table,
        backends=made,
        backends_name=_name_in(table[spelt]),
        losses=(*_losses(config, flat, masks=has_masks(made)), *lost_of(resolve_path(flat["instance_data_dir"]), made)),
        ramp=ramp,
        ramps=ramp_rows(ramp, config.scheduled_sampling, config.training.max_train_steps),
    )


def _name_in(place: Any) -> str:
    return re.split(r"[/\\]", str(place))[-1]


def _again(kept: Mapping[str, Any], flat: Mapping[str, Any]) -> dict[str, Any]:
    """An imported config with the values of now: as it was wherever it still means the same."""
    found, _ = by_name(kept, SIMPLETUNER_KEYS)
    names = {spelt: name for name, (spelt, _) in found.items()}
    table = {}
    for row in apply(kept, SIMPLETUNER_KEYS).findings:
        if not row.given:
            continue
        name = names[row.key]
        meant = row.standing == "mapped" and all(flat[option] == value for option, value in row.options.items())
        if name in WRITTEN_ANEW or (row.options and not meant):
            value = _value_there(name, SIMPLETUNER_KEYS[name].option, flat)
            table |= {} if value is None else {row.key: value}
        else:
            table[row.key] = kept[row.key]
    return table


def _value_there(name: str, option: str, flat: Mapping[str, Any]) -> Any:
    """The value of a key for a config; None where it is better left out."""
    value = flat[option]
    match name:
        case "model_family":
            return FAMILY_NAMES[value]
        case "flux_lora_target":
            return TARGETS[value] if flat["family"] == "flux" else None
        case "flux_guidance_value":
            return _guidance_there(flat)
        case "num_train_epochs":
            return 0
        case "optimizer":
            return OPTIMIZER_NAMES[value]
        case "optimizer_beta1" | "optimizer_beta2":
            return None
        case "checkpoints_total_limit" | "snr_gamma":
            return 0 if value is None else value
        case "validation_prompt":
            return value[0] if value else None
        case "scheduled_sampling_probability":
            return 0.0 if flat[PREFIX + "ramp_steps"] > 0 else value  # else it would stand in for a ramp's 0.0
        case _:
            return value


def _guidance_there(flat: Mapping[str, Any]) -> float | None:
    """Left out, FLUX.1 is told 1 there; schnell is told none."""
    if flat["family"] != "flux" or is_schnell(flat):
        return None
    return GUIDANCE if flat["embedded_guidance"] is None else flat["embedded_guidance"]


def _losses(config: RunConfig, flat: Mapping[str, Any], *, masks: bool) -> list[str]:
    """What the config asks for and SimpleTuner has no key for; ``masks`` where its data sets hold the subject's."""
    options, lost = config.scheduled_sampling, []
    for name, why in UNSAID.items():
        usual = SAID_BY_MANNER.get(name, option_specs()[name].default)
        idle = name.startswith(PREFIX) and not options.enabled
        if not idle and flat[name] != usual and not (masks and name in MASKED):
            lost.append(f"{name} = {flat[name]} cannot be said there: {why}")
    if flat["aspect_ratio_buckets"] is not None:
        lost.append("aspect_ratio_buckets goes out as shapes: it makes the sizes itself, by its own rounding")
    if len(flat["validation_prompts"]) > 1:
        lost.append("validation_prompts has several prompts, of which the first is written")
    if flat["lora_targets"] != "attention" and flat["family"] != "flux":
        lost.append("lora_targets can be chosen for flux only there")
    if options.enabled and options.start_step > 0 and options.ramp_steps == 0:
        lost.append(f"{PREFIX}start_step is read with a ramp only there: rollouts begin at step 0")
    if options.enabled and options.start_step > 0 and options.ramp_steps > 0 and options.prob_start > 0:
        lost.append(f"{PREFIX}start_step does not keep rollouts off before the ramp there")
    return lost


READER = Reader("simpletuner", "SimpleTuner", SIMPLETUNER_KEYS, MARKS, read)
