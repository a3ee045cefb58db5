"""What of a configuration and a loaded base model reaches the step."""

import pytest
import torch
from tiny_runs import ROLLOUT, reset_accelerate

from core.noise.grid import inference_grid
from core.runs import journal
from core.runs.folder import RunFolder
from core.training.build import Parts, build, make_accelerator
from core.training.report import Report

PREFIX = "scheduled_sampling_"


@pytest.fixture
def built(one_thread, config, runs_dir):
    """``built(base, **flat)``: the parts of a training."""

    def go(base="v_prediction", **changes) -> Parts:
        reset_accelerate()
        folder = RunFolder.create(runs_dir, "run", config(base, **changes))
        return build(folder.config(), runs_dir, Report(folder, None), make_accelerator(folder.config()))

    return go


@pytest.mark.parametrize("base", ["v_prediction", "flow_matching"])
def test_stride_inference_rolls_out_on_the_validation_samplers_own_grid(built, base):
    parts = built(base, **{**ROLLOUT, f"{PREFIX}stride": "inference", "validation_num_inference_steps": 7})
    assert torch.equal(parts.stream.grid, inference_grid(parts.family.pipeline.scheduler, 7))
    assert built(base, **ROLLOUT).stream.grid is None


@pytest.mark.parametrize(
    ("base", "setting", "on"),
    [
        ("flow_matching", None, True), ("flow_matching", True, True), ("flow_matching", False, False),
        ("v_prediction", None, False), ("v_prediction", False, False),
    ],
)  # fmt: skip
def test_reflexflow_is_on_as_set_and_by_itself_for_flow_matching(built, base, setting, on):
    parts = built(base, **{**ROLLOUT, f"{PREFIX}reflexflow": setting})
    assert (parts.options.objective.reflexflow is not None) == on


@pytest.mark.parametrize("off", [{f"{PREFIX}max_step_offset": 0}, {f"{PREFIX}probability": 0.0}])
def test_reflexflow_is_off_where_nothing_is_ever_rolled_out(built, off):
    assert built("flow_matching", **{**ROLLOUT, **off}).options.objective.reflexflow is None


def test_the_run_says_that_reflexflow_is_on_and_why(trained):
    by_itself, as_set = (
        trained("run", "flow_matching", **{**ROLLOUT, f"{PREFIX}reflexflow": setting}) for setting in (None, True)
    )
    texts = [
        [line["text"] for line in journal.read_all(folder.events_path) if line["kind"] == "reflexflow"]
        for folder in (by_itself, as_set)
    ]
    assert texts[0] == ["ReflexFlow is on by itself, because the base is flow matching: alpha 1, beta1 10, beta2 1"]
    assert texts[1] == ["ReflexFlow is on as set: alpha 1, beta1 10, beta2 1"]


def test_a_run_keeps_what_was_predicted_and_what_it_took(trained):
    from core.runs.cost import read_cost, read_facts

    folder = trained(**ROLLOUT)
    cost, facts = read_cost(folder), read_facts(folder)
    assert cost.predicted["seconds_per_step"] > cost.predicted["plain_seconds_per_step"] > 0
    assert cost.measured.calls_per_step > 0
    assert facts.distance > 0
    assert read_cost(trained("plain")) is None
