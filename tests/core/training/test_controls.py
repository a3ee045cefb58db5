"""Input perturbation and placebo: noise that the network sees, of the right size, and no rollout."""

import math
from dataclasses import replace

import pytest
import torch
from micro_steps import batch_of, predict, step_options, trainer_of
from noise_schedules import SCHEDULES
from tiny_networks import TinyDenoiser
from tiny_runs import ROLLOUT, adapter, metrics, run, same_bits
from torch import nn

from core.errors import RunError
from core.evaluation.drift import rolled_drift
from core.noise.prediction import KINDS, pair_target, to_clean
from core.rollout.reflexflow import ReflexFlow
from core.rollout.target import training_target
from core.runs import journal
from core.runs.arms import equal_compute
from core.runs.folder import RunFolder
from core.runs.status import read_status
from core.training.controls import Disturbance, disturbed
from core.training.objective import States
from core.training.step import fresh_step

STEPS = [3, 0, 1, 2]
PREFIX = "scheduled_sampling_"
M2 = 0.8


def disturbance_of(batch, kind, size):
    noise = torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(5))
    return replace(batch, disturbance=Disturbance(kind, noise, size))


class Oracle(nn.Module):
    """Notes what it sees and answers what it is told to, by what it sees and where."""

    def __init__(self, answer):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.answer, self.seen = answer, []

    def forward(self, noisy, timestep):
        self.seen.append((noisy, torch.is_grad_enabled()))
        return self.answer(noisy, timestep) + self.weight


def place(schedule, batch):
    target = batch.plan.target
    return [value.float().view(-1, 1, 1, 1) for value in (schedule.alpha(target), schedule.sigma(target))]


@pytest.mark.parametrize("kind", KINDS)
def test_input_perturbation_changes_what_the_network_sees_and_not_the_target(kind):
    options = step_options(kind, target="original")
    batch = disturbance_of(batch_of([0, 0, 0, 0]), "perturbation", 0.3)
    alpha, sigma = place(options.objective.schedule, batch)
    network = Oracle(
        lambda noisy, timestep: pair_target(
            batch.clean, batch.noise, alpha=alpha.flatten(), sigma=sigma.flatten(), kind=kind
        )
    )
    loss = fresh_step(trainer_of(network), batch, options).loss.item()
    [(seen, _)] = network.seen
    more = batch.noise + 0.3 * batch.disturbance.noise
    torch.testing.assert_close(seen, alpha * batch.clean + sigma * more, rtol=1e-5, atol=1e-5)
    assert loss == pytest.approx(0.0, abs=1e-10)


@pytest.mark.parametrize("kind", ["perturbation", "placebo"])
def test_a_control_of_size_0_is_the_plain_step_bit_for_bit(kind):
    network, options = TinyDenoiser(dropout=0.0).train(), step_options(target="original")
    plain = fresh_step(trainer_of(network), batch_of([0, 0, 0, 0]), options).loss
    steps = STEPS if kind == "placebo" else [0, 0, 0, 0]
    assert torch.equal(plain, fresh_step(trainer_of(network), disturbance_of(batch_of(steps), kind, 0.0), options).loss)


def placebo_states(size=0.25, items=6):
    """Large teacher-forced states, disturbed where the plan rolls; before, after, alpha and sigma."""
    schedule, generator = SCHEDULES["stable_diffusion"], torch.Generator().manual_seed(2)
    plan = batch_of([0, 1, 2, 3, 1, 2][:items]).plan
    clean, noise, fresh = (torch.randn(items, 4, 64, 64, generator=generator) for _ in range(3))
    alpha, sigma = schedule.alpha(plan.target).float(), schedule.sigma(plan.target).float()
    noisy = alpha.view(-1, 1, 1, 1) * clean * M2**0.5 + sigma.view(-1, 1, 1, 1) * noise
    everything = torch.arange(items)
    states = States(
        noisy, noisy, plan.target.float(), alpha, sigma, clean * M2**0.5, noise, torch.zeros(items),
        torch.zeros(items, dtype=torch.bool), everything[:0],
    )  # fmt: skip
    return states, disturbed(states, Disturbance("placebo", fresh, size), plan, M2)


def test_a_placebo_drifts_by_what_was_measured_in_the_items_that_would_roll_and_in_no_other():
    before, after = placebo_states(size=0.25)
    own = after.own
    assert own.tolist() == [1, 2, 3, 4, 5]
    assert after.rolled.tolist() == [False, True, True, True, True, True]
    assert torch.equal(after.noisy[0], before.noisy[0])
    assert torch.equal(after.teacher_forced, before.noisy)
    for item in own.tolist():
        one = slice(item, item + 1)
        drift = rolled_drift(after.noisy[one], before.noisy[one], before.alpha[one], before.sigma[one], M2)
        assert drift.item() == pytest.approx(0.25, rel=0.02)


def test_a_placebo_s_noise_has_no_direction_of_its_own():
    before, after = placebo_states()
    added = (after.noisy - before.noisy)[after.own]
    for known in (before.clean, before.noise, before.noisy):
        cosine = torch.cosine_similarity(added.flatten(1), known[after.own].flatten(1))
        assert cosine.abs().max() < 4 / math.sqrt(added[0].numel())
    beside = torch.cosine_similarity(added[..., 1:].flatten(1), added[..., :-1].flatten(1))
    assert beside.abs().max() < 4 / math.sqrt(added[0].numel())
    in_channels = added.square().mean((2, 3)).sqrt()
    torch.testing.assert_close(in_channels, in_channels.mean(1, keepdim=True).expand_as(in_channels), rtol=0.05, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_placebo_s_target_points_from_the_disturbed_state_to_the_clean_one(kind):
    options = step_options(kind)
    batch = disturbance_of(batch_of(STEPS), "placebo", 0.2)
    alpha, sigma = (value.flatten() for value in place(options.objective.schedule, batch))
    told = []

    def answer(noisy, timestep):
        target = training_target(
            "anchored", noisy, batch.clean, batch.noise, alpha=alpha, sigma=sigma, kind=kind, steps=torch.ones(4)
        )
        told.append(to_clean(target, noisy, alpha=alpha, sigma=sigma, kind=kind))
        return target

    network = Oracle(answer)
    assert fresh_step(trainer_of(network), batch, options).loss.item() == pytest.approx(0.0, abs=1e-9)
    torch.testing.assert_close(told[0], batch.clean, rtol=1e-4, atol=1e-4)
    [(seen, with_gradient)] = network.seen
    assert with_gradient
    true = alpha.view(-1, 1, 1, 1) * batch.clean + sigma.view(-1, 1, 1, 1) * batch.noise
    moved = (seen - true).square().mean((1, 2, 3)).sqrt()
    assert (moved > 0.01).tolist() == [True, False, True, True]


def test_a_placebo_rolls_nothing_and_its_items_count_as_rolled():
    network = TinyDenoiser(dropout=0.0).train()
    outcome = fresh_step(trainer_of(network), disturbance_of(batch_of(STEPS), "placebo", 0.2), step_options())
    assert (outcome.calls, outcome.forwards, outcome.trained) == (0, 0, 4)
    assert outcome.plan.steps.tolist() == STEPS
    assert outcome.tally.means()["m1_squared"] == pytest.approx(0.2**2, rel=0.3)


def test_with_reflexflow_a_placebo_costs_the_clean_forward_and_no_other():
    network = Oracle(lambda noisy, timestep: noisy * 0.5)
    batch = disturbance_of(batch_of(STEPS), "placebo", 0.2)
    outcome = fresh_step(
        trainer_of(network, predict), batch, step_options("flow_matching", reflexflow=ReflexFlow(1.0, 10.0, 1.0))
    )
    assert (outcome.calls, outcome.forwards) == (1, 3)
    assert [(len(seen), gradient) for seen, gradient in network.seen] == [(3, False), (4, True)]
    assert "reflexflow_direction" in outcome.tally.means()


@pytest.fixture
def rollout_and(trained, config, runs_dir):
    """``rollout_and(base, **flat)``: a rollout run that is done, and its placebo, which is not begun."""

    def make(base="v_prediction", **changes):
        changes = {**ROLLOUT, "train_batch_size": 4, **changes}
        rollout = trained("rollout", base, **changes)
        return rollout, RunFolder.create(runs_dir, "placebo", config(base, **changes, placebo_of="rollout"))

    return make


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("v_prediction", {"gradient_accumulation_steps": 3}),
        ("flow_matching", {f"{PREFIX}target": "posterior"}),
    ],
    ids=["accumulated", "posterior-reflexflow"],
)
def test_a_placebo_run_has_the_rollout_s_plan_and_drift_and_none_of_its_forwards(rollout_and, base, changes):
    rollout, placebo = rollout_and(base, **changes)
    run(placebo)
    pairs = list(zip(metrics(rollout), metrics(placebo), strict=True))
    for theirs, own in pairs:
        for name in ("rolled", "mean_offset", "max_offset", "items", "probability", "trained_states"):
            assert own[name] == theirs[name], name
        clean_forwards = own["rolled"] if base == "flow_matching" else 0
        assert own["rollout_forwards"] == clean_forwards
        assert (own["reflexflow_direction"] is None) == (base != "flow_matching")
        assert (own["posterior_entropy"] is None) == ("target" not in str(changes))
        assert own["rollout_drift"] != theirs["rollout_drift"]
        assert own["rollout_drift"] == pytest.approx(theirs["rollout_drift"], rel=0.5)
    assert not same_bits(adapter(rollout), adapter(placebo))


def wrongly(change):
    """The rollout run's records, changed line by line."""

    def spoil(folder):
        lines = [change(line) for line in journal.read_all(folder.metrics_path)]
        folder.metrics_path.unlink()
        for line in lines:
            if line is not None:
                journal.append(folder.metrics_path, line)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (wrongly(lambda line: line if line["step"] < 3 else None), "that is done, got rollout with 2 of 3 steps"),
        (
            wrongly(lambda line: {**line, "rollout_drift": None} if line["step"] == 2 else line),
            "whose drift was measured, got rollout without a number at step 2",
        ),
        (lambda folder: folder.config_path.unlink(), "the name of a run folder beside placebo, got 'rollout'"),
    ],
    ids=["not-done", "not-measured", "missing"],
)
def test_a_placebo_of_what_cannot_be_matched_is_refused_before_the_first_step(rollout_and, spoil, sentence):
    rollout, placebo = rollout_and()
    spoil(rollout)
    with pytest.raises(RunError, match=sentence):
        run(placebo)
    assert read_status(placebo).phase == "failed"
    assert sentence in read_status(placebo).error
    assert metrics(placebo) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 7}, "got rollout with seed 42 in place of 7$"),
        ({"max_train_steps": 2, "learning_rate": 0.5}, "learning_rate 0.01 in place of 0.5, max_train_steps 3 in "),
        ({f"{PREFIX}stride": 20}, f"{PREFIX}stride 40 in place of 20$"),
        ({"placebo_of": "../runs/rollout"}, "the name of a run folder beside other, got '../runs/rollout'$"),
        ({"placebo_of": "other"}, "the name of a run folder beside other, got 'other'$"),
    ],
)
def test_a_placebo_that_is_another_training_is_refused_and_the_difference_named(
    rollout_and, config, runs_dir, changes, sentence
):
    rollout_and()
    given = {**ROLLOUT, "train_batch_size": 4, "placebo_of": "rollout", **changes}
    with pytest.raises(RunError, match=sentence):
        run(RunFolder.create(runs_dir, "other", config(**given)))


def test_input_perturbation_shows_and_leaves_the_base_s_first_target_alone(trained):
    plain, perturbed = trained("plain"), trained("perturbed", input_perturbation=0.5)
    assert [line["loss"] for line in metrics(plain)] != [line["loss"] for line in metrics(perturbed)]
    assert not same_bits(adapter(plain), adapter(perturbed))
    assert all(line["rolled"] == 0 for line in metrics(perturbed))


def test_equal_compute_begins_as_the_teacher_forced_arm_bit_for_bit(trained, config, runs_dir):
    forced = trained("forced", lora_dropout=0.2)
    equal = RunFolder.create(runs_dir, "equal", equal_compute(config(lora_dropout=0.2, **ROLLOUT)))
    run(equal)
    ours, theirs = metrics(equal), metrics(forced)
    assert len(ours) > len(theirs)
    for a, b in zip(ours, theirs, strict=False):
        assert (a["loss"], a["grad_norm"], a["lr"]) == (b["loss"], b["grad_norm"], b["lr"])
