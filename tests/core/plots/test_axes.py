"""Curves over what steps cost."""

import numpy as np
import pytest

from core.plots import PLOTS
from core.plots.axes import UNITS, against, place
from core.plots.figure import summary_of
from core.runs.records import StepRecord
from tests.core.plots.made import cheap, line_named, steps

FORWARDS = 6 + 3 * 4
"""Forward equivalents of each made-up step."""


def test_steps_are_where_they_were():
    series = {"rollout": steps(5)}
    assert against(series, {}, "steps") is series


@pytest.mark.parametrize(("unit", "a_step"), [("forwards", FORWARDS), ("seconds", 0.5)])
def test_measurements_lie_at_what_the_training_had_cost(unit, a_step):
    series = against({"rollout": [cheap(0), cheap(50), cheap(100)]}, {"rollout": steps(100)}, unit)
    figure = PLOTS["chain_v"].draw(series)
    assert line_named(figure, "rollout").get_xdata().tolist() == [0, 50 * a_step, 100 * a_step]
    assert figure.axes[0].get_xlabel() == UNITS[unit]
    assert "at step 100" in summary_of(figure)


def test_gradient_checkpointing_makes_a_trained_state_cost_four_forwards():
    series = {"rollout": [cheap(10)]}
    dear = against(series, {"rollout": steps(10)}, "forwards", backward=4)
    assert place(dear, "rollout", np.array([10.0])).tolist() == [10 * (6 + 4 * 4)]


def test_behind_a_missing_step_compute_is_not_known_and_said_so():
    torn = [record for record in steps(100) if record.step != 60]
    series = {"rollout": [cheap(0), cheap(50), cheap(100)]}
    figure = PLOTS["drift_m1"].draw(against(series, {"rollout": torn}, "forwards"))
    assert line_named(figure, "rollout").get_xdata().tolist() == [0, 50 * FORWARDS]
    assert "rollout: 1 points not drawn, their cost is not recorded" in summary_of(figure)
    assert "not drawn" not in summary_of(PLOTS["drift_m1"].draw(against(series, {"rollout": torn}, "seconds")))


def test_a_run_without_costs_is_said_not_drawn():
    figure = PLOTS["loss"].draw(against({"rollout": steps(5)}, {}, "seconds"))
    assert "rollout: 5 points not drawn" in summary_of(figure)


def test_the_mean_over_seeds_lies_at_the_mean_cost_of_its_steps():
    slow = [StepRecord(step=n, loss=1.0, elapsed=3.0 * n) for n in range(1, 101)]
    fast = [StepRecord(step=n, loss=1.0, elapsed=1.0 * n) for n in range(1, 101)]
    series = {"rollout-s1": [cheap(0), cheap(100)], "rollout-s2": [cheap(0), cheap(100)]}
    figure = PLOTS["chain_v"].draw(against(series, {"rollout-s1": slow, "rollout-s2": fast}, "seconds"))
    assert line_named(figure, "rollout").get_xdata().tolist() == [0, 200]


@pytest.mark.parametrize("name", [name for name, plot in PLOTS.items() if plot.records == "steps"])
def test_every_plot_over_steps_can_be_drawn_over_time(name):
    figure = PLOTS[name].draw(against({"rollout": steps(60)}, {"rollout": steps(60)}, "seconds"))
    assert figure.axes[0].get_xlabel() == UNITS["seconds"]
    assert max(line.get_xdata().max() for line in figure.axes[0].lines) == pytest.approx(30)
