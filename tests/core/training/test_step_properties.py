"""What holds for every micro-step that the options allow: it is finite, costs what is forecast, and 0 means nothing."""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from micro_steps import even_shares, gradients, trainer_of
from noise_schedules import options
from strategies import Case, cases, repeatable
from tiny_networks import TinyDenoiser

from core.rollout.cost import forecast
from core.rollout.offsets import block_and_source, cut_and_source, offset_distribution
from core.rollout.plan import RolloutPlan
from core.rollout.posterior import PosteriorMean
from core.rollout.reflexflow import ReflexFlow
from core.rollout.samplers import SAMPLERS
from core.rollout.target import RULES
from core.training.batches import Batch
from core.training.objective import Objective
from core.training.step import StepOptions, StepOutcome, fresh_step
from core.training.visited_step import visited_step

FITTING = {
    "epsilon": ("stable_diffusion", "ddpm"), "v_prediction": ("stable_diffusion", "zero_terminal", "ddpm"),
    "sample": ("stable_diffusion", "zero_terminal"), "flow_matching": ("flow",),
}  # fmt: skip
"""Noise schedules that base models of each kind come with."""
SHAPE = (4, 3, 3)


@dataclass(frozen=True)
class Step:
    """What a micro-step depends on, the network apart; its parts are made when they are asked for."""

    case: Case
    target: str
    snr_gamma: float | None
    reflexflow: ReflexFlow | None
    guidance_scale: float

    @property
    def options(self) -> StepOptions:
        generator = torch.Generator().manual_seed(self.case.seed + 1)
        pictures, share = torch.randn(4, *SHAPE, generator=generator), torch.rand(4, generator=generator) + 0.01
        groups = [(torch.arange(4), share), (torch.tensor([2]), torch.ones(1))]
        objective = Objective(
            self.case.schedule, self.case.kind, self.target, self.snr_gamma, m2=1.0,
            posteriors={pictures.shape[1:]: PosteriorMean(pictures, groups, pictures.device)},
            reflexflow=self.reflexflow,
        )  # fmt: skip
        rollout = self.case.options
        return StepOptions(
            objective, rollout.mode, rollout.sampler, rollout.order, self.guidance_scale, unprompted=torch.zeros_like
        )

    def batch(self) -> Batch:
        """Drawn as a training draws it."""
        if self.case.options.mode == "fresh":
            return self.batch_of(self.case.plan(), torch.ones(1, len(self.case.timesteps)))
        plan, share = self.case.blocks()
        return self.batch_of(plan, share.float())

    def batch_of(self, plan: RolloutPlan, share: torch.Tensor) -> Batch:
        """Random latents, conditions and groups; weights as they come, some of them 0."""
        generator = torch.Generator().manual_seed(self.case.seed)
        count = len(plan.steps)
        clean, noise = torch.randn((2, count, *SHAPE), generator=generator)
        weight = torch.rand(count, generator=generator) * (torch.rand(count, generator=generator) < 0.8)
        group = torch.randint(0, 2, (count,), generator=generator)
        return Batch(clean, noise, torch.randn(count, 1, generator=generator), plan, weight, share, group)


@dataclass(frozen=True)
class Found:
    """What came of a step; `asked`: calls of the network without gradient, items in them, the same with gradient."""

    outcome: StepOutcome
    gradients: list[torch.Tensor]
    asked: tuple[int, ...]

    def equals(self, other: "Found") -> bool:
        """Whether loss and gradients are the same, bit for bit."""
        pairs = zip(self.gradients, other.gradients, strict=True)
        return torch.equal(self.outcome.loss, other.outcome.loss) and all(torch.equal(a, b) for a, b in pairs)


def run(step: Step, batch: Batch) -> Found:
    asked = []

    def predict(network, noisy, timestep, condition):
        """Sees the condition, so that guidance does something."""
        asked.append((torch.is_grad_enabled(), len(noisy)))
        return network(noisy, timestep) + 0.1 * condition[:, :, None, None] * noisy

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(step.case.seed)
        network = TinyDenoiser(dropout=0.0).train()
    micro_step = {"fresh": fresh_step, "visited": visited_step}[step.case.options.mode]
    outcome = micro_step(trainer_of(network, predict), batch, step.options)
    apart = [[items for learning, items in asked if learning == wanted] for wanted in (False, True)]
    return Found(outcome, gradients(network), tuple(count for some in apart for count in (len(some), sum(some))))


@st.composite
def steps(draw, kinds=tuple(FITTING), **limits):
    """Any valid micro-step: kind, noise schedule and options fit each other."""
    kind = draw(st.sampled_from(kinds))
    case = draw(cases(kinds=(kind,), names=FITTING[kind], **limits))
    flow, strength = kind == "flow_matching", st.sampled_from([0.0, 1.0, 10.0, 1000.0])
    return Step(
        case, draw(st.sampled_from(RULES)),
        snr_gamma=None if flow else draw(st.none() | st.sampled_from([1e-3, 5.0, 1000.0])),
        reflexflow=draw(st.none() | st.builds(ReflexFlow, strength, strength, strength)) if flow else None,
        guidance_scale=draw(st.sampled_from([1.0, 2.5, 30.0])) if case.options.mode == "fresh" else 1.0,
    )  # fmt: skip


@repeatable(400)
@given(steps(longest=4, batch=5))
def test_any_step_is_finite_and_counts_what_it_does(step):
    found, plan = run(step, step.batch()), step.batch().plan
    outcome = found.outcome
    assert outcome.loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in found.gradients)
    assert all(math.isfinite(mean) for mean in outcome.tally.means().values())
    rolled, walked, items = int(plan.rolled.sum()), int(plan.steps.sum()), len(plan.steps)
    clean, rollout = step.reflexflow is not None, step.case.options
    assert torch.equal(outcome.plan.steps, plan.steps)
    if rollout.mode == "visited":
        extra, taught = (plan.longest * clean, walked * clean), (plan.longest + 1, items + walked)
    else:
        calls, twice = SAMPLERS[rollout.sampler].calls_per_step, 2 if step.guidance_scale > 1 else 1
        extra = (calls * plan.longest + (clean and rolled > 0), calls * twice * walked + clean * rolled)
        taught = (1, items)
    assert (outcome.calls, outcome.forwards, outcome.trained) == (*extra, taught[1])
    assert found.asked == (*extra, *taught)


@repeatable(200)
@given(steps(longest=4, batch=5))
def test_probability_0_is_the_teacher_forced_step_bit_for_bit_and_costs_no_forward(step):
    step = replace(step, case=replace(step.case, probability=0.0))
    found, t = run(step, step.batch()), step.case.timesteps
    nothing = replace(step.case, options=options(mode="fresh"))
    plain = replace(step, case=nothing, target="original", reflexflow=None, guidance_scale=1.0)
    whole = RolloutPlan(t, t, torch.zeros(len(t), dtype=torch.long))
    assert found.equals(run(plain, plain.batch_of(whole, torch.ones(1, len(t)))))
    assert (found.outcome.calls, found.outcome.forwards, found.outcome.trained) == (0, 0, len(t))
    assert found.asked == (0, 0, 1, len(t))


@repeatable(150)
@given(steps(kinds=("flow_matching",), longest=4, batch=5))
def test_reflexflow_charges_items_that_are_not_rolled_nothing(step):
    batch = step.batch()
    batch = replace(batch, weight=torch.where(batch.plan.rolled, 0.0, batch.weight))
    term = ReflexFlow(alpha=1.0, beta1=10.0, beta2=0.5)
    assert run(replace(step, reflexflow=term), batch).equals(run(replace(step, reflexflow=None), batch))


def outcomes(case):
    """All that can happen to one item at the case's only timestep: chance, rollout steps, target, source."""
    chosen, last, time = case.options, case.schedule.last, case.timesteps.numpy()
    grid = None if case.grid is None else case.grid.numpy()
    yield 1 - case.probability, 0, time.item(), time.item()
    for k, chance in enumerate(case.probability * offset_distribution(chosen)):
        if chosen.mode == "fresh":
            steps, source = cut_and_source([k], time, chosen, last, grid)
            yield chance, steps.item(), time.item(), source.item()
            continue
        for offset in range(k + 1):
            block = block_and_source(np.array([k]), np.array([offset]), time, chosen, last, grid)
            yield chance / (k + 1), *(part.item() for part in block)


@repeatable(60)
@given(steps(kinds=("v_prediction", "flow_matching"), longest=2, batch=1), st.integers(1, 2))
def test_the_forecast_is_the_mean_over_all_that_can_happen_in_a_step(step, items):
    case, total = step.case, np.zeros(4)
    case = replace(case, timesteps=case.timesteps.round().long())
    for draws in product(list(outcomes(case)), repeat=items):
        chance, steps, target, source = zip(*draws, strict=True)
        plan = RolloutPlan(torch.tensor(source), torch.tensor(target), torch.tensor(steps), case.grid)
        total += math.prod(chance) * np.array(run(step, step.batch_of(plan, even_shares(plan.steps))).asked)
    forecast_for = options(
        **vars(case.options) | {"probability": case.probability, "guidance_scale": step.guidance_scale}
    )
    found = forecast(
        forecast_for, items, 1, last=case.schedule.last, reflexflow=step.reflexflow is not None,
        grid=None if case.grid is None else case.grid.numpy(),
        shares=np.eye(case.schedule.last + 1)[case.timesteps.item()],
    )  # fmt: skip
    counted = [found.rollout_calls_per_step, found.rollout_forwards_per_step, found.trained_calls_per_step]
    np.testing.assert_allclose([*counted, found.trained_per_item * items], total, rtol=1e-9, atol=1e-12)
