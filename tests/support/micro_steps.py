"""Batches and options for single micro-steps of a tiny network."""

from contextlib import nullcontext

import torch
from noise_schedules import SCHEDULES
from torch import nn

from core.rollout.plan import RolloutPlan
from core.training.batches import Batch
from core.training.objective import Objective
from core.training.step import StepOptions, Trainer

OBJECTIVE = {"target": "anchored", "snr_gamma": None, "m2": 1.0, "reflexflow": None}
OWN = {"mode": "fresh", "sampler": "euler", "order": 1, "guidance_scale": 1.0, "unprompted": torch.zeros_like}


def batch_of(steps, seed=0, weight=None, group=None):
    """Items with targets 200, 300, … and rollouts of those steps, 50 timesteps each."""
    generator = torch.Generator().manual_seed(seed)
    count, steps = len(steps), torch.tensor(steps)
    clean, noise = (torch.randn(count, 4, 4, 4, generator=generator) for _ in range(2))
    target = torch.arange(2, 2 + count) * 100
    plan = RolloutPlan(source=target + 50 * steps, target=target, steps=steps)
    whole = torch.full((count,), 1 / count) if weight is None else weight
    groups = torch.zeros(count, dtype=torch.long) if group is None else group
    return Batch(clean, noise, torch.ones(count, 1), plan, whole, even_shares(steps), groups)


def even_shares(steps):
    """Every state of an item counts alike."""
    states = torch.arange(int(steps.max()) + 1)[:, None] <= steps
    return states / states.sum(0)


def step_options(kind="v_prediction", **changes):
    """Options with anchored targets and Euler steps, the changes made."""
    schedule = SCHEDULES["flow" if kind == "flow_matching" else "stable_diffusion"]
    objective = {name: changes.get(name, value) for name, value in OBJECTIVE.items()}
    own = {name: changes.get(name, value) for name, value in OWN.items()}
    return StepOptions(Objective(schedule, kind, **objective), **own)


def predict(network, noisy, timestep, condition):
    """A network that sees no condition."""
    return network(noisy, timestep)


def trainer_of(network: nn.Module, predict=predict) -> Trainer:
    """One process, whose gradients go nowhere else."""
    return Trainer(network, network, predict, torch.Tensor.backward, nullcontext)


def gradients(network: nn.Module) -> list[torch.Tensor]:
    """Of all parameters; they are emptied."""
    found = [parameter.grad.clone() for parameter in network.parameters()]
    network.zero_grad()
    return found
