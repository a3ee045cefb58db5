"""Nothing is silently off: every option changes something that can be seen, or is refused."""

import itertools
import shutil
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from PIL import Image
from seen import Seen, distance_from_start, value_of
from tiny_checkpoint import save_checkpoint
from tiny_runs import ROLLOUT, reset_accelerate, save_mask, save_picture, tiny_config

from core.config.table import option_rows
from core.errors import ConfigError, DataError
from core.runs.folder import RunFolder
from core.training.run import train

PREFIX = "scheduled_sampling_"


@dataclass(frozen=True)
class Case:
    """How an option shows.

    Attributes:
        value: another value than the one in ``given``, or than the tiny run's.
        shows: what differs then.
        keeps: what does not.
        given: the other options that it needs.
        refused: words of the sentence, for an option that is refused instead.
        base: kind of base model.
    """

    value: Any
    shows: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    given: dict[str, Any] = field(default_factory=dict)
    refused: str | None = None
    base: str = "v_prediction"


PRIOR = {"with_prior_preservation": True, "class_prompt": "a cat"}
OWN_CLASS = {**PRIOR, "class_data_dir": "CLASS"}
DRAWN = {"validation_prompts": ("a sks cat",), "validation_num_inference_steps": 3, "max_train_steps": 1}
PROBED = {**DRAWN, "drift_pairs": 2}
LONG = {"max_train_steps": 4}
RAMP = {**ROLLOUT, **LONG, "train_batch_size": 4, f"{PREFIX}ramp_steps": 4, f"{PREFIX}prob_end": 1.0}
REFLEX = {**ROLLOUT, f"{PREFIX}reflexflow": True}
NOT_FLOW = "scheduled_sampling_reflexflow must be false or unset"
CASES = {
    "family": Case("sdxl", refused="must be a StableDiffusionXLPipeline"),
    "pretrained_model_name_or_path": Case("OTHER", ("loss",)),
    "single_file_config": Case("OTHER", refused="single_file_config must be unset"),
    "revision": Case("main", refused="revision must be unset"),
    "variant": Case("fp16", refused="variant"),
    "embedded_guidance": Case(2.0, refused="embedded_guidance must be unset for stable_diffusion"),
    "instance_data_dir": Case("CLASS", ("loss",)),
    "instance_prompt": Case("a photo of sks dog", ("loss", "adapter")),
    "class_data_dir": Case("CLASS", ("loss",), ("items",), PRIOR),
    "class_prompt": Case("a dog", ("loss",), ("items",), OWN_CLASS),
    "with_prior_preservation": Case(
        True, ("items", "loss"), given={"class_prompt": "a cat", "class_data_dir": "CLASS"}
    ),
    "prior_loss_weight": Case(0.25, ("loss",), ("items",), OWN_CLASS),
    "num_class_images": Case(3, ("class_pictures",), given=PRIOR),
    "resolution": Case(24, ("loss",)),
    "aspect_ratio_buckets": Case("16,16;16,32", ("loss",), ("items",), {"train_batch_size": 4}),
    "center_crop": Case(False, ("loss",), ("items",)),
    "random_flip": Case(True, ("loss",), ("items",)),
    "masked_loss": Case(True, ("loss",), ("items",), {"instance_data_dir": "MASKED"}),
    "unmasked_weight": Case(0.5, ("loss",), ("items",), {"instance_data_dir": "MASKED", "masked_loss": True}),
    "caption_dropout": Case(1.0, ("loss",), ("items",)),
    "train_batch_size": Case(3, ("items", "loss")),
    "gradient_accumulation_steps": Case(2, ("items", "loss", "adapter")),
    "num_processes": Case(2, refused="num_processes must be the number of processes that were launched"),
    "accelerate_config_path": Case("ACCELERATE", refused="accelerate_config_path must be unset where no launcher"),
    "gradient_checkpointing": Case(True, ("recomputed",), ("loss", "adapter")),
    "optimizer": Case("prodigy", ("adapter",), ("loss_at_first",)),
    "learning_rate": Case(1e-3, ("lr", "adapter")),
    "text_encoder_lr": Case(1e-3, ("adapter",), ("loss_at_first", "lr"), {"train_text_encoder": True}),
    "lr_scheduler": Case("linear", ("lr", "adapter")),
    "lr_warmup_steps": Case(2, ("lr", "adapter"), given={"lr_scheduler": "constant_with_warmup"}),
    "max_train_steps": Case(3, ("step", "adapter")),
    "checkpointing_steps": Case(1, ("checkpoints",), ("loss", "adapter"), {"checkpoints_total_limit": None}),
    "checkpoints_total_limit": Case(1, ("checkpoints",), ("loss", "adapter"), {"checkpointing_steps": 1}),
    "mixed_precision": Case("bf16", ("loss",)),
    "seed": Case(7, ("loss", "adapter")),
    "max_grad_norm": Case(1e-4, ("adapter",), ("grad_norm_at_first",)),
    "snr_gamma": Case(0.5, ("loss", "adapter"), ("error_at_first",)),
    "input_perturbation": Case(0.5, ("loss", "adapter"), ("items", "max_offset")),
    "placebo_of": Case("rollout", ("loss", "adapter", "rollout_forwards"), ("mean_offset", "rolled"), ROLLOUT),
    "adam_beta1": Case(0.5, ("adapter",), ("loss_at_first",)),
    "adam_beta2": Case(0.5, ("adapter",), ("loss_at_first",)),
    "adam_weight_decay": Case(1.0, ("adapter",), ("loss_at_first",)),
    "adam_epsilon": Case(1e-2, ("adapter",), ("loss_at_first",)),
    "rank": Case(4, ("adapter",), ("loss_at_first",)),
    "lora_alpha": Case(8.0, ("loss",), ("loss_at_first",)),
    "lora_dropout": Case(0.5, ("loss",), ("loss_at_first",)),
    "lora_targets": Case("all", ("adapter", "loss"), ("loss_at_first",)),
    "train_text_encoder": Case(True, ("adapter", "loss"), ("items",)),
    "validation_prompts": Case(("a sks cat", "a dog"), ("samples",), ("loss",), DRAWN),
    "num_validation_images": Case(2, ("samples",), ("loss",), DRAWN),
    "validation_steps": Case(1, ("samples",), ("loss",), {**DRAWN, "max_train_steps": 2}),
    "validation_num_inference_steps": Case(4, ("samples", "drift"), ("loss",), PROBED),
    "validation_guidance_scale": Case(2.0, ("samples",), ("loss",), DRAWN),
    "validation_seed": Case(7, ("samples", "drift"), ("loss",), PROBED),
    "drift_pairs": Case(3, ("drift",), ("loss", "samples"), PROBED),
    "drift_samples": Case(3, ("drift",), ("loss", "samples"), PROBED),
    "report_to": Case("tensorboard", ("trackers",), ("loss", "adapter")),
    f"{PREFIX}max_step_offset": Case(2, ("loss", "max_offset"), given=ROLLOUT),
    f"{PREFIX}stride": Case(50, ("loss",), ("items",), ROLLOUT),
    f"{PREFIX}probability": Case(0.5, ("loss", "probability", "rolled"), given=ROLLOUT),
    f"{PREFIX}ramp_steps": Case(2, ("probability", "loss"), given=RAMP),
    f"{PREFIX}prob_start": Case(0.9, ("probability", "loss"), given=RAMP),
    f"{PREFIX}prob_end": Case(0.1, ("probability", "loss"), given=RAMP),
    f"{PREFIX}start_step": Case(1, ("probability", "loss"), given=ROLLOUT),
    f"{PREFIX}ramp_shape": Case("cosine", ("probability",), given=RAMP),
    f"{PREFIX}strategy": Case("biased_late", ("mean_offset", "loss"), ("probability",), ROLLOUT),
    f"{PREFIX}sampler": Case("euler", ("loss",), ("mean_offset",), ROLLOUT),
    f"{PREFIX}order": Case(1, ("loss",), ("mean_offset",), ROLLOUT),
    f"{PREFIX}mode": Case("visited", ("loss", "trained_states", "rollout_forwards"), ("items",), ROLLOUT),
    f"{PREFIX}target": Case("original", ("loss",), ("mean_offset",), ROLLOUT),
    f"{PREFIX}guidance_scale": Case(
        2.0, ("rollout_drift", "loss", "rollout_forwards"), ("rollout_calls", "mean_offset"), ROLLOUT
    ),
    f"{PREFIX}reflexflow": Case(
        None,
        ("loss", "rollout_calls", "reflexflow_direction"),
        ("loss_rolled_at_first", "mean_offset"),
        {**ROLLOUT, f"{PREFIX}reflexflow": False},
        base="flow_matching",
    ),
    f"{PREFIX}reflexflow_alpha": Case(
        2.0, ("loss", "reflexflow_spread"), ("reflexflow_direction_at_first",), REFLEX, base="flow_matching"
    ),
    f"{PREFIX}reflexflow_beta1": Case(2.0, ("loss",), ("reflexflow_direction_at_first",), REFLEX, base="flow_matching"),
    f"{PREFIX}reflexflow_beta2": Case(2.0, ("loss",), ("reflexflow_error_at_first",), REFLEX, base="flow_matching"),
}
CHOICES = {
    "lr_scheduler": ("lr", {"lr_warmup_steps": 2, "max_train_steps": 5}),
    "lora_targets": ("loss", {}),
    f"{PREFIX}ramp_shape": ("probability", RAMP),
    f"{PREFIX}strategy": ("loss", {**ROLLOUT, "train_batch_size": 4}),
    f"{PREFIX}sampler": ("loss", ROLLOUT),
    f"{PREFIX}mode": ("loss", ROLLOUT),
    f"{PREFIX}target": ("loss", ROLLOUT),
}


@pytest.fixture(scope="module")
def seen(bases, pictures, tmp_path_factory):
    """``seen(base, **flat)``: what can be seen of such a run; equal runs are trained once."""
    root, known = tmp_path_factory.mktemp("silence"), {}
    other, classes = save_checkpoint(root / "other", "sample"), root / "class"
    classes.mkdir()
    for seed in range(4):
        save_picture(classes / f"{seed}.png", 90 + seed)
    accelerate = root / "accelerate.yaml"
    accelerate.write_text("distributed_type: MULTI_GPU")
    masked = shutil.copytree(pictures, root / "masked")
    for path in sorted(masked.glob("*.png")):
        save_mask(masked / f"{path.stem}-masklabel.png", Image.open(path).size)
    places = {"CLASS": str(classes), "OTHER": str(other), "ACCELERATE": str(accelerate), "MASKED": str(masked)}

    def look(base: str = "v_prediction", **changes) -> Seen:
        changes = {"max_train_steps": 2, **changes}
        key = (base, *sorted((name, repr(value)) for name, value in changes.items()))
        if key not in known:
            real = {
                name: places.get(value, value) if isinstance(value, str) else value for name, value in changes.items()
            }
            workspace = root / f"workspace-{len(known)}"
            names = ["run"] if real.get("placebo_of") is None else [real["placebo_of"], "run"]
            for name in names:  # a placebo stands in for a run beside it
                own = real if name == "run" else {**real, "placebo_of": None}
                folder = RunFolder.create(workspace / "runs", name, tiny_config(bases, pictures, base, **own))
                reset_accelerate()
                train(folder)
            known[key] = Seen(folder, workspace / "class_images")
        return known[key]

    return look


def test_every_option_has_its_case():
    assert set(CASES) == {row.flat_name for row in option_rows()}


@pytest.mark.parametrize("option", [name for name, case in CASES.items() if case.refused is None])
def test_an_option_shows(option, seen, one_thread, monkeypatch):
    case = CASES[option]
    counts = []
    if "recomputed" in case.shows:
        counts = _counted_recomputations(monkeypatch)
    before = seen(case.base, **case.given)
    plain = len(counts)
    after = seen(case.base, **{**case.given, option: case.value})
    for what in case.shows:
        if what == "recomputed":
            assert (plain, len(counts) > 0) == (0, True)
        else:
            assert value_of(before, what) != value_of(after, what), what
    for what in case.keeps:
        assert value_of(before, what) == value_of(after, what), what


def _counted_recomputations(monkeypatch) -> list:
    counts, plain = [], torch.utils.checkpoint.checkpoint

    def checkpoint(*args, **kwargs):
        counts.append(1)
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.utils.checkpoint, "checkpoint", checkpoint)
    return counts


@pytest.mark.parametrize("option", [name for name, case in CASES.items() if case.refused is not None])
def test_an_option_that_is_not_there_yet_is_refused(option, seen, one_thread):
    case = CASES[option]
    with pytest.raises((ConfigError, DataError), match=case.refused):
        seen(case.base, **{**case.given, option: case.value})


@pytest.mark.parametrize("option", CHOICES)
def test_all_choices_of_an_option_differ(option, seen, one_thread):
    what, given = CHOICES[option]
    (row,) = (row for row in option_rows() if row.flat_name == option)
    values = {choice: value_of(seen(**{**given, option: choice}), what) for choice in row.choices}
    for a, b in itertools.combinations(row.choices, 2):
        assert values[a] != values[b], (a, b)


def test_stride_inference_shows_and_follows_the_validation_samplers_steps(seen, one_thread):
    stride = f"{PREFIX}stride"
    losses = [
        seen(**{**ROLLOUT, stride: value, "validation_num_inference_steps": points}).loss
        for value, points in ((40, 8), ("inference", 8), ("inference", 12))
    ]
    assert losses[0] != losses[1] != losses[2] != losses[0]


def test_items_below_the_samplers_first_step_are_counted(seen, one_thread):
    given = {**ROLLOUT, "validation_num_inference_steps": 3, "train_batch_size": 8}
    on_grid, spaced = (seen(**{**given, f"{PREFIX}stride": stride}) for stride in ("inference", 40))
    assert sum(on_grid.below_grid) > 0
    assert sum(spaced.below_grid) == 0


def test_reflexflow_is_refused_for_what_is_not_flow_matching(seen, one_thread):
    with pytest.raises(ConfigError, match=NOT_FLOW):
        seen(**REFLEX)


@pytest.mark.parametrize("mode", ["fresh", "visited"])
@pytest.mark.parametrize("target", ["anchored", "posterior", "original"])
def test_targets_and_modes_go_together(mode, target, seen, one_thread):
    run = seen(**{**ROLLOUT, f"{PREFIX}mode": mode, f"{PREFIX}target": target})
    assert all(value > 0 for value in run.loss)
    assert all((entropy is not None) == (target == "posterior") for entropy in run.posterior_entropy)


@pytest.mark.parametrize("sampler", ["unipc", "dpm"])
def test_all_orders_differ_where_they_are_taken(sampler, seen, one_thread):
    given = {**ROLLOUT, f"{PREFIX}sampler": sampler, f"{PREFIX}strategy": "biased_late", "train_batch_size": 4}
    losses = [tuple(seen(**given, **{f"{PREFIX}order": order}).loss) for order in (1, 2, 3)]
    assert len(set(losses)) == 3


def test_min_snr_weights_the_loss_and_leaves_the_errors(seen, one_thread):
    plain, weighted = seen(), seen(snr_gamma=0.5)
    assert plain.loss_teacher_forced[0] == weighted.loss_teacher_forced[0]
    assert weighted.loss[0] < plain.loss[0]


def test_the_gradient_is_clipped_to_the_norm(seen, one_thread):
    slow = {"adam_epsilon": 1.0, "adam_weight_decay": 0.0, "max_train_steps": 1}
    free, clipped = seen(**slow, max_grad_norm=1e6), seen(**slow, max_grad_norm=1e-6)
    assert free.grad_norm == clipped.grad_norm
    moved = [distance_from_start(run) for run in (free, clipped)]
    assert moved[1] < 1e-3 * moved[0]
