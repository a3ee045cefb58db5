"""A few steps' work that changes nothing: how long a training's parts take here, and how far its pictures lie apart.

No optimizer step is taken, gradients are dropped, the global generators are put back, and the random streams, being
keyed, have nothing to be used up. A training with a dry run before it is bit for bit the one without.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from core.noise.denoiser import evaluation_mode
from core.rollout.cost import Calibration
from core.rollout.engine import roll
from core.rollout.identifiability import level, smallest_distance, timestep_at
from core.rollout.plan import RolloutPlan
from core.rollout.samplers import SAMPLERS
from core.runs.measurement import Facts, Measurement
from core.training.batches import Batch, Position
from core.training.build import Parts
from core.training.candidates import latent_groups
from core.training.optimizers import make_optimizer
from core.training.step import StepOptions, Trainer, fresh_step
from core.training.visited_step import visited_step

WARM_UP = 2
"""Rounds that do not count: the first ones allocate memory and choose kernels."""
ROUNDS = (3, 12)
"""At least and at most so many rounds count."""
LADDER = 3
"""Longest rollout of the visited step that is measured: its items have 0 to so many rollout steps."""
BUDGET = 1.0
"""Seconds after which no further round begins, once there were enough."""

Work = Callable[[], object]


def measure(parts: Parts, check: Callable[[], None]) -> Measurement:
    """Calibration and facts of a training that is about to begin; on every process of several alike.

    Args:
        parts: Of the training.
        check: Called again and again; an exception that it raises ends the measurement.
    """
    return Measurement(facts_of(parts), calibrate(parts, check), str(parts.accelerator.device))


def facts_of(parts: Parts) -> Facts:
    """What base model and encoded pictures tell. Only the instance pictures count: they are what is to be learnt."""
    schedule = parts.family.schedule
    distance = smallest_distance(
        source.pictures.latents[group == number]
        for source, *_ in parts.stream.buckets
        for group in [latent_groups(source.pictures, source.groups)]
        for number in group.unique().tolist()
    )
    safe = None if distance is None else level(distance)
    return Facts(
        kind=parts.family.kind, last=schedule.last, grid=tuple(parts.probe.grid.tolist()), distance=distance,
        level=safe, level_timestep=None if safe is None else timestep_at(safe, schedule),
    )  # fmt: skip


def calibrate(parts: Parts, check: Callable[[], None]) -> Calibration:
    """Seconds of the parts of a step, each measured with one item and with a whole batch, medians of a few rounds."""
    device = parts.accelerator.device
    batch = parts.stream.draw(Position(0, 0), 0.0)
    items = len(batch.clean)
    several = max(items, 2)  # guidance doubles the items of a call; without gradient two always fit
    calls = _rollout_steps(parts) * SAMPLERS[parts.options.sampler].calls_per_step
    with _undone(parts):
        works: dict[str, Work] = {
            "forward one": _forward(parts, _repeated(batch, 1).to(device)),
            "forward several": _forward(parts, _repeated(batch, several).to(device)),
            "train one": _train(parts, _repeated(batch, 1).to(device)),
            "train batch": _train(parts, batch.to(device)),
            "visit even": _visit(parts, batch.to(device), torch.ones(items, dtype=torch.long)),
            "visit ladder": _visit(parts, batch.to(device), torch.arange(items) % (LADDER + 1)),
            "rest": _rest(parts),
        }
        took = _medians(works, device, check)
    forward = _line(took["forward one"] / calls, took["forward several"] / calls, several)
    train = _line(took["train one"], took["train batch"], items)
    visit = _two_plans(took["visit even"], took["visit ladder"], items)
    return Calibration(*forward, *train, *visit, rest=took["rest"])


def _line(one: float, many: float, items: int) -> tuple[float, float]:
    """Seconds of a call and of an item in it, exact for the whole batch; neither below 0."""
    item = many / items if items == 1 else min(max((many - one) / (items - 1), 0.0), many / items)
    return many - item * items, item


def _two_plans(even: float, ladder: float, items: int) -> tuple[float, float]:
    """Seconds of a visited call and of an item in it, from one step for all items and from 0 to `LADDER` of them."""
    lengths = torch.arange(items) % (LADDER + 1)
    calls, states = int(lengths.max()) + 1, items + int(lengths.sum())
    if items == 1:
        return 0.0, even / 2
    call = (even * states - 2 * items * ladder) / (2 * states - 2 * items * calls)
    call = min(max(call, 0.0), ladder / calls)
    return call, (ladder - call * calls) / states


def _visit(parts: Parts, batch: Batch, steps: Tensor) -> Work:
    """A micro-step in mode visited, with so many rollout steps for each item."""
    last = parts.family.schedule.last
    target = torch.full((len(steps),), 0.4 * last, dtype=torch.float64)
    plan = RolloutPlan(source=target + steps * 0.1 * last, target=target, steps=steps)
    states = int(steps.max()) + 1
    share = torch.full((states, len(steps)), 1 / states, device=batch.clean.device)
    many = SAMPLERS[parts.options.sampler].calls_per_step > 1  # refused in this mode: any other takes as long
    options = replace(parts.options, sampler="euler") if many else parts.options
    trainer, planned = _trainer(parts), replace(batch, plan=plan, share=share)
    return _told(parts, planned, options, lambda batch, options: visited_step(trainer, batch, options))


def _forward(parts: Parts, batch: Batch) -> Work:
    """A short rollout of all items, as a fresh step begins with."""
    options, family = parts.options, parts.family
    steps, last = _rollout_steps(parts), family.schedule.last
    full = torch.ones(len(batch.clean), dtype=torch.float64)
    plan = RolloutPlan(source=full * last * 0.6, target=full * last * 0.5, steps=(full * steps).long())

    def denoiser(noisy: Tensor, timestep: Tensor, items: Tensor) -> Tensor:
        return family.predict(family.network, noisy, timestep, batch.condition[items])

    def work() -> None:
        with evaluation_mode(family.network):
            roll(
                denoiser, batch.clean, batch.noise, plan, schedule=family.schedule, kind=family.kind,
                sampler=options.sampler, order=options.order,
            )  # fmt: skip

    return work


def _rollout_steps(parts: Parts) -> int:
    return min(max(parts.config.scheduled_sampling.max_step_offset, 1), 2)


def _train(parts: Parts, batch: Batch) -> Work:
    """A micro-step without rollout."""
    trainer = _trainer(parts)
    return _told(parts, batch, parts.options, lambda batch, options: fresh_step(trainer, batch, options))


def _told(parts: Parts, batch: Batch, options: StepOptions, step: Callable[[Batch, StepOptions], object]) -> Work:
    """A micro-step with all that its text encoders do where they are trained."""

    def work() -> None:
        with parts.conditions.told(batch, options) as told:
            step(*told)

    return work


def _trainer(parts: Parts) -> Trainer:
    """With the bare network: processes do not wait for each other here, and may take different numbers of rounds."""
    family = parts.family
    return Trainer(family.network, family.network, family.predict, parts.accelerator.backward, nullcontext)


def _rest(parts: Parts) -> Work:
    """What else an optimizer step does, the update itself on copies."""
    training = parts.config.training
    copies = [nn.Parameter(parameter.detach().clone()) for parameter in _parameters(parts)]
    optimizer = make_optimizer(training, copies)

    def work() -> None:
        for _ in range(training.gradient_accumulation_steps):
            parts.stream.draw(Position(0, 0), 1.0)
        for copy in copies:
            copy.grad = torch.zeros_like(copy)
        torch.nn.utils.clip_grad_norm_(copies, training.max_grad_norm)
        optimizer.step()

    return work


def _medians(works: dict[str, Work], device: torch.device, check: Callable[[], None]) -> dict[str, float]:
    """Median seconds of each, measured in turn, so that a machine that slows down slows all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(WARM_UP):
        for work in works.values():
            check()
            work()
    fewest, most = ROUNDS
    deadline = time.perf_counter() + BUDGET
    for done in range(most):
        if done >= fewest and time.perf_counter() > deadline:
            break
        for name, work in works.items():
            check()
            times[name].append(_seconds(work, device))
    return {name: statistics.median(taken) for name, taken in times.items()}


def _seconds(work: Work, device: torch.device) -> float:
    finish(device)
    began = time.perf_counter()
    work()
    finish(device)
    return time.perf_counter() - began


def finish(device: torch.device) -> None:
    """Waits until a device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _repeated(batch: Batch, count: int) -> Batch:
    """The first items of a batch, from the beginning again where it has fewer."""
    pick = torch.arange(count) % len(batch.clean)
    plan = RolloutPlan(source=batch.plan.source[pick], target=batch.plan.target[pick], steps=batch.plan.steps[pick])
    return Batch(
        batch.clean[pick], batch.noise[pick], batch.condition[pick], plan, batch.weight[pick], batch.share[:, pick],
        batch.group[pick], mask=None if batch.mask is None else batch.mask[pick],
        prompts=tuple(batch.prompts[index] for index in pick.tolist()),
    )  # fmt: skip


def _parameters(parts: Parts) -> list[Tensor]:
    return [parameter for group in parts.optimizer.param_groups for parameter in group["params"]]


@contextmanager
def _undone(parts: Parts) -> Iterator[None]:
    """Afterwards gradients and global generators are as they were."""
    parameters = _parameters(parts)
    before = [None if parameter.grad is None else parameter.grad.clone() for parameter in parameters]
    device = parts.accelerator.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for parameter, gradient in zip(parameters, before, strict=True):
                parameter.grad = gradient
