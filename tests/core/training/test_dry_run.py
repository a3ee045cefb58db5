"""A dry run says what steps take and what the pictures are, and leaves no trace in the training after it."""

import math
from dataclasses import astuple

import pytest
import torch
from tiny_runs import ROLLOUT, adapter, run, same_bits

from core.rollout.cost import Calibration
from core.runs.folder import RunFolder
from core.training import dry_run
from core.training.build import build, make_accelerator
from core.training.dry_run import _two_plans, calibrate, facts_of, measure
from core.training.loop import Loop
from core.training.report import Report


@pytest.mark.parametrize("items", [2, 3, 4, 8, 9])
def test_two_plans_tell_the_time_of_a_visited_call_from_that_of_its_items(items):
    """Exact where time is a call's plus its items': an even step has 2 calls of all, a ladder falls off from all."""
    lengths = [item % 4 for item in range(items)]
    calls, states = max(lengths) + 1, items + sum(lengths)
    found = _two_plans(2 * 0.5 + 2 * items * 0.03, calls * 0.5 + states * 0.03, items)
    assert found == pytest.approx((0.5, 0.03))


def test_one_item_alone_leaves_no_difference_between_call_and_item():
    assert _two_plans(0.8, 0.4, 1) == (0.0, 0.4)


@pytest.fixture
def loop(one_thread, config, runs_dir):
    """``loop(base, **flat)``: a training that has not begun."""

    def go(base="v_prediction", **changes):
        chosen = config(base, **changes)
        folder = RunFolder.create(runs_dir, "run", chosen)
        report = Report(folder, None)
        return Loop(folder, build(chosen, runs_dir, report, make_accelerator(chosen)), report)

    return go


def everything(parts):
    """Weights, gradients and optimizer state."""
    found = dict(parts.network.state_dict())
    parameters = [parameter for group in parts.optimizer.param_groups for parameter in group["params"]]
    for number, parameter in enumerate(parameters):
        if parameter.grad is not None:
            found[f"gradient {number}"] = parameter.grad
        for name, value in parts.optimizer.state.get(parameter, {}).items():
            found[f"{name} {number}"] = torch.as_tensor(value)
    return {name: value.clone() for name, value in found.items()}


CHANGES = {
    "plain": {},
    "fresh": {**ROLLOUT, "lora_dropout": 0.3, "caption_dropout": 0.3},
    "visited": {**ROLLOUT, "scheduled_sampling_mode": "visited"},
    "posterior, guided": {
        **ROLLOUT,
        "scheduled_sampling_target": "posterior",
        "scheduled_sampling_guidance_scale": 3.0,
        "gradient_accumulation_steps": 2,
    },
    "rk4, one item": {**ROLLOUT, "scheduled_sampling_sampler": "rk4", "train_batch_size": 1},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_nothing_is_changed(loop, changes):
    training = loop(**changes)
    training.take_step()
    before, numbers = everything(training.parts), torch.random.get_rng_state()
    found = calibrate(training.parts, training.report.check)
    assert same_bits(everything(training.parts), before)
    assert torch.equal(torch.random.get_rng_state(), numbers)
    assert training.parts.network.training
    assert training.parts.accelerator.sync_gradients
    for value in astuple(found):
        assert math.isfinite(value)
        assert value >= 0
    assert found.forward_item + found.forward_call > 0
    assert found.train_item + found.train_call > 0
    assert found.visit_item + found.visit_call > 0


@pytest.mark.parametrize("base", ["epsilon", "flow_matching"])
def test_a_training_after_a_dry_run_is_bit_for_bit_the_one_without(trained, config, runs_dir, monkeypatch, base):
    changes = {**ROLLOUT, "lora_dropout": 0.3, "caption_dropout": 0.3}
    monkeypatch.setattr(dry_run, "calibrate", lambda parts, check: Calibration(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0))
    plain = trained("plain", base, **changes)
    whole, seen = Loop.run, []

    def with_dry_run(training):
        seen.append(calibrate(training.parts, training.report.check))
        whole(training)

    monkeypatch.setattr(Loop, "run", with_dry_run)
    other = RunFolder.create(runs_dir, "other", config(base, **changes))
    run(other)
    assert len(seen) == 1
    assert same_bits(adapter(plain), adapter(other))


def test_a_gradient_that_was_there_is_put_back(loop):
    training = loop()
    parameter = training.parts.optimizer.param_groups[0]["params"][0]
    parameter.grad = torch.full_like(parameter, 3.0)
    calibrate(training.parts, training.report.check)
    assert torch.equal(parameter.grad, torch.full_like(parameter, 3.0))


def test_the_line_through_two_sizes_is_exact_for_the_batch_and_never_negative():
    assert dry_run._line(3.0, 9.0, 4) == pytest.approx((1.0, 2.0))
    assert dry_run._line(5.0, 4.0, 4) == pytest.approx((4.0, 0.0))
    assert dry_run._line(1.0, 9.0, 4) == pytest.approx((0.0, 2.25))
    assert dry_run._line(7.0, 7.0, 1) == pytest.approx((0.0, 7.0))


def test_the_medians_leave_out_the_first_rounds_and_see_every_work_equally_often(monkeypatch):
    monkeypatch.setattr(dry_run, "BUDGET", 0.0)
    done, asked = [], []
    works = {"a": lambda: done.append("a"), "b": lambda: done.append("b")}
    assert set(dry_run._medians(works, torch.device("cpu"), lambda: asked.append(len(done)))) == {"a", "b"}
    assert done == ["a", "b"] * (dry_run.WARM_UP + dry_run.ROUNDS[0])
    assert asked == list(range(len(done)))  # before each of them it may be stopped


def test_facts_tell_the_model_and_the_nearest_pictures_of_one_caption(loop):
    training = loop("flow_matching")
    facts = facts_of(training.parts)
    pictures = training.parts.stream.sources[0].pictures
    same = [index for index in range(len(pictures)) if pictures.prompts[pictures.prompt[index]] == "a sks cat"]
    latents = torch.cat(
        [pictures.latents[pictures.first[i] : pictures.first[i] + pictures.variants[i]] for i in same]
    ).flatten(1)
    assert len(same) == 3
    assert facts.distance == pytest.approx(torch.pdist(latents).min().item(), rel=1e-5)
    assert facts.level == pytest.approx(facts.distance / 4)
    assert facts.level_timestep == pytest.approx(1000 * facts.level / (1 + facts.level))
    assert (facts.kind, facts.last) == ("flow_matching", 1000)
    assert facts.grid == tuple(training.parts.probe.grid.tolist())


def test_one_picture_has_no_level(loop, tmp_path, pictures):
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "0.png").write_bytes((pictures / "0.png").read_bytes())
    training = loop(instance_data_dir=str(alone))
    facts = measure(training.parts, training.report.check).facts
    assert (facts.distance, facts.level, facts.level_timestep) == (None, None, None)
