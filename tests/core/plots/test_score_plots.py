"""Scores against cost, and differences seed by seed."""

import math

import pytest

from core.plots import PLOTS
from core.plots.arms import arm_styles
from core.plots.figure import summary_of
from core.plots.palette import SUBDUED
from core.runs.scores import SCORES
from tests.core.plots.made import Scored, compared

FRONTIERS = {"frontier_seconds": "seconds", "frontier_forwards": "compute"}


def run(seed: int, v: float, cost: float) -> Scored:
    return Scored(seed, {"v_end": v, "nearest": 10 * v}, cost, 2 * cost)


def points_of(figure) -> list[tuple]:
    return [(*map(tuple, (line.get_xdata(), line.get_ydata())), line.get_markersize()) for line in figure.axes[0].lines]


@pytest.mark.parametrize("name", FRONTIERS)
def test_a_frontier_has_a_point_a_run_and_a_larger_one_for_the_mean(name):
    figure = PLOTS[name].draw({"rollout-s1": [run(1, 0.2, 10)], "rollout-s2": [run(2, 0.4, 30)]})
    (runs, mean), share = points_of(figure), 1 if name == "frontier_seconds" else 2
    assert runs[:2] == ((10 * share, 30 * share), (0.2, 0.4))
    assert mean[0] == (20 * share,)
    assert mean[1] == pytest.approx((0.3,))
    assert mean[2] > runs[2]
    assert "rollout (mean of 2 runs): 0.3 for" in summary_of(figure)


def test_runs_of_an_arm_may_come_under_one_label():
    apart = PLOTS["frontier_seconds"].draw({"rollout-s1": [run(1, 0.2, 10)], "rollout-s2": [run(2, 0.4, 30)]})
    together = PLOTS["frontier_seconds"].draw({"rollout": [run(1, 0.2, 10), run(2, 0.4, 30)]})
    assert points_of(apart) == points_of(together)
    assert summary_of(apart) == summary_of(together)


def test_a_frontier_shows_the_declared_score_with_its_unit():
    figure = PLOTS["frontier_seconds"].draw({"rollout": [run(1, 0.2, 10)]}, score="nearest")
    assert points_of(figure)[0][1] == (2.0,)
    assert figure.axes[0].get_ylabel().replace("\n", " ") == "Distance to the nearest training latent (latent rms)"


def test_a_run_without_the_score_or_the_cost_is_no_point():
    lacking = [Scored(1, {}, 10, 20), run(2, math.nan, 10), run(3, 0.5, math.nan), run(4, 0.3, 10)]
    figure = PLOTS["frontier_seconds"].draw({"rollout": lacking, "placebo": lacking[:2]})
    assert [points[1] for points in points_of(figure)] == [(0.3,)]
    assert "rollout (mean of 1 of 4 runs): 0.3" in summary_of(figure)
    assert "placebo: not scored" in summary_of(figure)


def test_nothing_scored_says_so():
    figure = PLOTS["frontier_seconds"].draw({"rollout": [run(1, math.nan, 10)]})
    assert summary_of(figure) == "No run is scored yet."


def test_differences_have_a_dot_a_seed_a_mean_and_a_panel_a_score():
    series = {
        "rollout": [compared("v_end", [-0.2, 0.1]), compared("diversity", [0.5, 0.7])],
        "placebo": [compared("v_end", [0.0, 0.3], arm="placebo")],
    }
    figure = PLOTS["differences"].draw(series)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [f"{SCORES[name].label} ({SCORES[name].unit})" for name in ("v_end", "diversity")]
    drawn = [line for line in figure.axes[0].lines if line.get_linestyle() == "None"]
    assert [line.get_xdata().tolist() for line in drawn] == [[-0.2, 0.1], [-0.05], [0.0, 0.3], [0.15]]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["rollout", "placebo"]
    assert "difference from teacher-forced" in figure.axes[-1].get_xlabel()
    assert "rollout -0.05 over 2 seeds; placebo 0.15 over 2 seeds" in summary_of(figure)


def test_an_arm_has_the_colour_that_it_has_beside_its_reference():
    series = {name: [compared("v_end", [0.1], arm=name)] for name in ("lr1e-4", "lr5e-4")}
    figure = PLOTS["differences"].draw(series)
    styles = arm_styles(["teacher-forced", *series])
    drawn = [line.get_color() for line in figure.axes[0].lines if line.get_marker() == "D"]
    assert drawn == [styles[name].colour for name in series]


def test_an_interval_is_drawn_only_where_one_is_given():
    for interval, said in ((None, False), ((0.05, 0.55), True)):
        series = {"rollout": [compared("v_end", [0.1, 0.2, 0.3, 0.4, 0.5], interval)]}
        figure = PLOTS["differences"].draw(series)
        drawn = [tuple(line.get_xdata()) for line in figure.axes[0].lines if line.get_color() != SUBDUED]
        assert (interval in drawn) is said
        assert len(drawn) == 2 + said
        assert ("interval 0.05 to 0.55" in summary_of(figure)) is said


def test_comparisons_without_a_common_seed_say_so():
    empty = compared("v_end", [0.0])
    empty.differences, empty.mean = (), math.nan
    assert summary_of(PLOTS["differences"].draw({"rollout": [empty]})).startswith("Nothing to compare yet")
