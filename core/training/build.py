"""Configuration to parts: the only place where the two meet."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, ProjectConfiguration
from diffusers.optimization import get_scheduler
from torch import Tensor, nn

from core.config.run import RunConfig
from core.config.sharding import Sharding
from core.config.supported import check_supported
from core.data.latents import LatentSet
from core.errors import ConfigError, Problem
from core.models.family import Family
from core.rollout.reflexflow import ReflexFlow
from core.runs.manifest import Entry
from core.samples.aside import set_aside
from core.samples.load import load_base
from core.training.adapter import Encoders, add_adapter, add_encoder_adapter
from core.training.base_problems import model_problems, own_grid
from core.training.batches import BatchStream, Source
from core.training.candidates import posterior_over
from core.training.conditions import Conditions
from core.training.controls import Control
from core.training.deepspeed import ZeroOptimizer
from core.training.objective import Objective
from core.training.optimizers import make_optimizer, try_optimizer
from core.training.others import PATIENCE
from core.training.precision import require_precision
from core.training.report import Report
from core.training.shapes import BucketStream
from core.training.sharding import Lockstep, shard
from core.training.sources import Pictures, encode_sources, instance_items
from core.training.step import StepOptions
from core.training.streams import stream


@dataclass(frozen=True)
class Parts:
    """Everything that a training needs, assembled.

    Attributes:
        config: of the run; the loop reads only counts and intervals from it.
        accelerator: device, precision, accumulation, processes.
        family: the base model.
        network: the adapted network, prepared by the accelerator.
        optimizer: over the adapter's parameters, prepared.
        scheduler: of the learning rate; one step an optimizer step.
        stream: draws batches.
        options: of the step.
        conditions: renews what the network is told, where text encoders are trained.
        probe: what the drift probe is made of.
        manifest: which pictures it is trained on.
        lockstep: of the processes where the network is split over them; else None.
        zero: the optimizer where DeepSpeed splits its state over the processes; else None.
    """

    config: RunConfig
    accelerator: Accelerator
    family: Family
    network: nn.Module
    optimizer: Any
    scheduler: Any
    stream: BatchStream | BucketStream
    options: StepOptions
    conditions: Conditions
    probe: "ProbeSet"
    manifest: tuple[Entry, ...]
    lockstep: Lockstep | None = None
    zero: ZeroOptimizer | None = None

    def wait_for_all(self) -> None:
        """Waits until all processes are here, and joins those who still need this one for their forwards."""
        if self.lockstep is None:
            self.accelerator.wait_for_everyone()
        else:
            self.lockstep.wait()

    def whole_state(self) -> AbstractContextManager:
        """A context in which the main process has all of the optimizer's state; all of them must enter it."""
        return nullcontext() if self.zero is None else self.zero.whole()


@dataclass(frozen=True)
class ProbeSet:
    """What the drift probe needs: equal in all arms and at all steps.

    Attributes:
        clean: latents of the pairs.
        noise: of the pairs.
        condition: of the pairs, one row each, as the base model's encoders give it.
        asked: the prompts of the pairs.
        grid: timesteps of the preset's own sampler, ascending.
        training: one latent a training picture, for the scores of samples.
        prompts: that the samples are drawn with, those of the pictures in their order.
    """

    clean: Tensor
    noise: Tensor
    condition: Tensor
    asked: tuple[str, ...]
    grid: Tensor
    training: Tensor
    prompts: tuple[str, ...]


def make_accelerator(config: RunConfig, logs: Path | None = None) -> Accelerator:
    """Device, precision and, for a run, its tracker.

    Args:
        config: of the run.
        logs: folder for the tracker's files; without one nothing is tracked.

    Raises:
        ConfigError: the precision is not to be had on this device.
    """
    require_precision(config)
    tracker = config.validation.report_to
    return Accelerator(
        mixed_precision=config.training.mixed_precision,
        gradient_accumulation_steps=config.training.gradient_accumulation_steps,
        log_with=None if tracker == "none" or logs is None else tracker,
        cpu=not torch.accelerator.is_available(),  # without it several processes on the CPU would not find each other
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        project_config=ProjectConfiguration(logging_dir=None if logs is None else str(logs)),
    )


def build(
    config: RunConfig, class_folder: Path, report: Report, accelerator: Accelerator, control: Control | None = None,
    sharding: Sharding | None = None, zero_stage: int = 0,
) -> Parts:  # fmt: skip
    """Loads, encodes, adapts and prepares.

    Args:
        config: validated; what cannot be honoured is refused here, before the first step.
        class_folder: where class pictures are kept.
        report: phases and progress.
        accelerator: from :func:`make_accelerator`.
        control: from ``core.training.controls.control_of``.
        sharding: how the base model is split over the processes; None: each of them holds all of it.
        zero_stage: of DeepSpeed, which splits the optimizer's state over the processes; 0 splits nothing.

    Raises:
        ConfigError: options that this version or this base model cannot honour, all at once.
        DataError: pictures, captions or the base model cannot be read.
    """
    _refuse(check_supported(config))
    try_optimizer(config.training, accelerator.device)
    instance = instance_items(config)
    report.phase("loading", "loading the base model")
    family = load_base(config)
    _refuse(model_problems(config, family))
    learning = family.clip_encoders() if config.lora.train_text_encoder else {}
    set_aside(family, accelerator.device, class_folder.parent, kept=learning)
    family.pipeline.vae.enable_slicing()  # decoding takes more than a step: picture by picture
    with accelerator.main_process_first():  # the others find class pictures and cached latents on the disk
        found = encode_sources(config, family, instance, class_folder, report, accelerator.device)
    network, optimizer, scheduler = _adapted(config, family, learning, accelerator, sharding, zero_stage)
    pictures = found.probed
    rollout = config.scheduled_sampling
    options = StepOptions(
        _objective(config, family, found, accelerator.device),
        mode=rollout.mode if rollout.max_step_offset > 0 else "fresh", sampler=rollout.sampler,
        order=rollout.order, guidance_scale=rollout.guidance_scale,
        unprompted=partial(family.unprompted, empty=pictures.empty.to(accelerator.device)),
    )  # fmt: skip
    lockstep = None if sharding is None else _lockstep(family, found, accelerator.device)
    return Parts(
        config, accelerator, family, network, optimizer, scheduler,
        _stream(config, family, found.buckets, accelerator, control), options,
        Conditions(family, learning, pictures.empty, accelerator), _probe(config, family, pictures), found.manifest,
        lockstep, optimizer.optimizer if zero_stage > 0 else None,
    )  # fmt: skip


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(problems)


def reflexflow_of(config: RunConfig, kind: str) -> ReflexFlow | None:
    """ReflexFlow as it is in force for a base model of that kind: unset means on for flow matching."""
    rollout = config.scheduled_sampling
    on = kind == "flow_matching" if rollout.reflexflow is None else rollout.reflexflow
    if not (rollout.enabled and on):
        return None
    return ReflexFlow(rollout.reflexflow_alpha, rollout.reflexflow_beta1, rollout.reflexflow_beta2)


def _objective(config: RunConfig, family: Family, found: Pictures, device: torch.device) -> Objective:
    rollout = config.scheduled_sampling
    target = rollout.target if rollout.max_step_offset > 0 else "original"  # nothing is rolled: the pair's own
    posteriors = {}
    for sources in found.buckets if target == "posterior" else ():
        sets, weights = [source.pictures for source in sources], [source.loss_weight for source in sources]
        posterior = posterior_over(sets, weights, config.data.caption_dropout, device)
        posteriors[posterior.shape] = posterior
    return Objective(
        schedule=family.schedule, kind=family.kind, target=target, snr_gamma=config.training.snr_gamma,
        m2=_mean_square([sources[0].pictures.latents for sources in found.buckets]), posteriors=posteriors,
        reflexflow=reflexflow_of(config, family.kind),
    )  # fmt: skip


def _mean_square(latents: list[Tensor]) -> float:
    return (sum(each.square().sum() for each in latents) / sum(each.numel() for each in latents)).item()


def _stream(
    config: RunConfig, family: Family, buckets: list[list[Source]], accelerator: Accelerator, control: Control | None
) -> BatchStream | BucketStream:
    training, rollout = config.training, config.scheduled_sampling

    def make(bucket: int, turn: Callable[[int], int]) -> BatchStream:
        return BatchStream(
            buckets[bucket], seed=training.seed, batch_size=training.train_batch_size,
            micro_steps=training.gradient_accumulation_steps, caption_dropout=config.data.caption_dropout,
            kind=family.kind, last=family.schedule.last, rollout=rollout,
            grid=own_grid(config, family) if rollout.stride == "inference" else None, frame=family.frame, turn=turn,
            process=accelerator.process_index, processes=accelerator.num_processes, control=control,
        )  # fmt: skip

    if len(buckets) == 1:
        return make(0, lambda micro: micro)
    return BucketStream([len(sources[0].pictures.order) for sources in buckets], make, training.seed)


def _lockstep(family: Family, found: Pictures, device: torch.device) -> Lockstep:
    pictures = found.buckets[0][0].pictures
    latent, condition = pictures.latents[:1].to(device), pictures.conditions[:1].to(device)
    timestep = torch.zeros(1, device=device)
    return Lockstep(family.network, lambda: family.predict(family.network, latent, timestep, condition), device)


def _adapted(
    config: RunConfig, family: Family, encoders: Encoders, accelerator: Accelerator, sharding: Sharding | None,
    zero_stage: int,
) -> tuple[nn.Module, Any, Any]:  # fmt: skip
    training, lora = config.training, config.lora
    parameters = add_adapter(
        family.network, targets=family.lora_targets(lora.lora_targets), rank=lora.rank, alpha=lora.lora_alpha,
        dropout=lora.lora_dropout, seed=training.seed,
    )  # fmt: skip
    if training.gradient_checkpointing:
        family.network.enable_gradient_checkpointing()  # type: ignore[operator]
    told = [
        parameter
        for place, (name, encoder) in enumerate(encoders.items())
        for parameter in add_encoder_adapter(
            encoder, layers=family.told_layers(name), rank=lora.rank, alpha=lora.lora_alpha, seed=training.seed,
            place=place,
        )
    ]  # fmt: skip
    family.network.train()
    if sharding is not None:
        shard(family.network, sharding, accelerator.device)
    optimizer: torch.optim.Optimizer
    if zero_stage == 0:
        optimizer = make_optimizer(training, parameters, told)
    else:
        family.network.to(accelerator.device)  # type: ignore[arg-type]
        optimizer = ZeroOptimizer(
            partial(make_optimizer, training), parameters, zero_stage, training.max_grad_norm, accelerator.device
        )
    try:
        scheduler = get_scheduler(
            training.lr_scheduler, optimizer, num_warmup_steps=training.lr_warmup_steps,
            num_training_steps=training.max_train_steps,
        )  # fmt: skip
    except ValueError as error:  # polynomial ends at 1e-7
        rule = f"learning_rate must suit lr_scheduler = {training.lr_scheduler}, got {training.learning_rate}: {error}"
        raise ConfigError([Problem("learning_rate", rule)]) from error
    if sharding is None and zero_stage == 0:
        network = accelerator.prepare_model(family.network)
    else:  # it is where it belongs, and gradients meet by ``sharding.meet`` or DeepSpeed
        network = accelerator.prepare_model(family.network, device_placement=False, evaluation_mode=True)
    return network, accelerator.prepare_optimizer(optimizer), scheduler


def _probe(config: RunConfig, family: Family, pictures: LatentSet) -> ProbeSet:
    count = config.validation.drift_pairs
    which = torch.arange(count) % len(pictures)
    variant = pictures.first[which]
    clean = pictures.latents[variant]
    noise = torch.randn(clean.shape, generator=stream(config.validation.validation_seed, "drift"))
    condition = family.frame(pictures.conditions[pictures.prompt[which]], pictures.framing[variant])
    prompts, grid = pictures.picture_prompts, own_grid(config, family)
    asked = tuple(prompts[index] for index in which.tolist())
    return ProbeSet(clean, noise, condition, asked, grid, pictures.pictures, prompts)
