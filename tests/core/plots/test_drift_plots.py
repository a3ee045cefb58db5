"""Plots of drift measurements: which measurement stands where, and what the words say of it."""

import math

import numpy as np
import pytest

from core.plots import PLOTS
from core.plots.figure import summary_of
from core.plots.heat import cells
from core.runs.drift import DriftRecord
from tests.core.plots.made import ARMS, GRID, chain, cheap, full, line_named, measurements, sweep

OVER_STEPS = {"drift_m1": "m1_mean", "chain_v": "v_end", "chain_diversity": "diversity"}
BY_TIMESTEP = {
    "drift_m1_timestep": "m1",
    "drift_v": "v",
    "drift_lag": "lag",
    "drift_epsilon": "epsilon_norm",
    "drift_recovery": "g2",
    "drift_restoring": "restoring",
    "drift_free": "free_v",
}
FULL_ONLY = ("drift_lag", "drift_epsilon", "drift_recovery", "drift_restoring", "drift_free", "drift_bands")


@pytest.mark.parametrize("name", OVER_STEPS)
def test_over_steps_a_sweep_has_no_place_and_a_step_has_one_point(name):
    records = [cheap(0), cheap(50, 0.3), full(50, 0.9), sweep(50, 4, 1.0, 7.0), sweep(50, 20, 4.0, 7.0)]
    line = line_named(PLOTS[name].draw({"rollout": records}), "rollout")
    assert line.get_xdata().tolist() == [0, 50]
    assert line.get_ydata()[1] == getattr(records[1], OVER_STEPS[name])


@pytest.mark.parametrize("name", OVER_STEPS)
def test_over_steps_a_full_measurement_counts_where_there_is_no_cheap_one(name):
    line = line_named(PLOTS[name].draw({"rollout": [cheap(0), full(80, 0.5)]}), "rollout")
    assert line.get_xdata().tolist() == [0, 80]


@pytest.mark.parametrize("name", OVER_STEPS)
def test_a_measurement_without_the_number_leaves_a_gap(name):
    gone = {"m1_mean": math.nan, "chain": None}
    records = [cheap(0), cheap(50, **gone), cheap(100)]
    assert line_named(PLOTS[name].draw({"rollout": records}), "rollout").get_xdata().tolist() == [0, 100]


@pytest.mark.parametrize("name", OVER_STEPS)
def test_the_base_model_is_one_level_and_no_part_of_a_curve(name):
    records = [cheap(0), cheap(50), cheap(0, 0.7, base=True)]
    figure = PLOTS[name].draw({"rollout-s1": records, "rollout-s2": records})
    level = getattr(records[2], OVER_STEPS[name])
    base = [line for line in figure.axes[0].lines if line.get_label() == "base model"]
    assert [line.get_ydata()[0] for line in base] == [level]
    assert f"base model: {level:.4g}" in summary_of(figure)
    assert line_named(figure, "rollout").get_xdata().tolist() == [0, 50]


@pytest.mark.parametrize(
    ("name", "change"), [("chain_v", lambda v: v + math.log(0.95)), ("chain_diversity", lambda d: 0.9 * d)]
)
def test_the_alarm_limit_lies_under_the_mean_of_the_teacher_forced_arm(name, change):
    series = {
        "teacher-forced-s1": [cheap(0, 0.1), cheap(50, 0.2)],
        "teacher-forced-s2": [cheap(0, 0.3), cheap(50, 0.4)],
        "rollout-s1": [cheap(0, 0.5), cheap(50, 0.6)],
    }
    figure = PLOTS[name].draw(series)
    limit, reference = line_named(figure, "alarm limit"), line_named(figure, "teacher-forced")
    assert limit.get_ydata() == pytest.approx([change(value) for value in reference.get_ydata()])
    assert limit.get_linewidth() < reference.get_linewidth()
    assert f"below teacher-forced: {limit.get_ydata()[-1]:.4g} at step 50" in summary_of(figure)


def test_without_a_teacher_forced_arm_the_alarm_limit_lies_under_the_base_model():
    figure = PLOTS["chain_v"].draw({"rollout": [cheap(50), cheap(0, 0.1, base=True)]})
    assert line_named(figure, "alarm limit").get_ydata()[0] == pytest.approx(-0.1 + math.log(0.95))
    assert "5 % below the base model" in summary_of(figure)
    alone = PLOTS["chain_v"].draw({"rollout": [cheap(50)]})
    assert "alarm limit" not in summary_of(alone)


@pytest.mark.parametrize("name", BY_TIMESTEP)
def test_by_timestep_noise_is_left_and_the_clean_end_right(name):
    figure = PLOTS[name].draw({"rollout": measurements(3)})
    for axes in figure.axes:
        left, right = axes.get_xlim()
        assert left > right
    assert figure.axes[-1].get_xlabel() == "timestep (0 = clean)"


@pytest.mark.parametrize("name", BY_TIMESTEP)
def test_by_timestep_the_full_measurement_of_the_last_step_counts(name):
    field = BY_TIMESTEP[name]
    records = [full(0, 0.1), full(100, 0.6), cheap(100, 0.2), sweep(100, 4, 1.0), full(200, 0.9, base=True)]
    figure = PLOTS[name].draw({"rollout": records})
    line = line_named(figure, "rollout")
    assert line.get_ydata().tolist() == list(getattr(records[1], field))
    assert line_named(figure, "base model").get_ydata().tolist() == list(getattr(records[4], field))
    highest = max(getattr(records[1], field))
    assert "rollout, step 100: " in summary_of(figure)
    assert f"largest {highest:.4g} at timestep {line.get_xdata()[line.get_ydata().argmax()]:.0f}" in summary_of(figure)


@pytest.mark.parametrize("name", ["drift_m1_timestep", "drift_heat"])
def test_grids_may_be_stored_from_either_end(name):
    ascending, descending = full(0, 0.4), full(0, 0.4)
    descending = cheap(0, 0.4, grid=GRID[::-1], m1=ascending.m1[::-1])
    texts = {summary_of(PLOTS[name].draw({"rollout": [record]})) for record in (cheap(0, 0.4), descending)}
    assert len(texts) == 1


def test_seeds_by_timestep_are_shown_at_a_step_that_the_most_of_them_have():
    series = {
        "rollout-s1": [cheap(0, 0.2), cheap(100, 0.4)],
        "rollout-s2": [cheap(0, 0.2), cheap(100, 0.6)],
        "rollout-s3": [cheap(0, 0.2)],
    }
    series |= {"placebo-s1": [cheap(100)], "placebo-s2": [cheap(100)], "placebo-s3": [cheap(50)]}
    figure = PLOTS["drift_m1_timestep"].draw(series)
    assert "rollout (mean of 3 runs), step 0" in summary_of(figure)
    assert "placebo (mean of 2 of 3 runs), step 100" in summary_of(figure)
    assert line_named(figure, "rollout").get_ydata() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("name", FULL_ONLY)
def test_what_only_a_full_measurement_takes_is_said_to_be_missing(name):
    figure = PLOTS[name].draw({"rollout": [cheap(0), cheap(50)]})
    assert summary_of(figure) == "Not measured yet: only a full measurement takes it."


def test_g0_and_g1_stand_only_beside_g2():
    figure = PLOTS["drift_recovery"].draw({"rollout": [full(100, g0=(0.1, 0.2, 0.3), g1=(0.4, 0.5, 0.6))]})
    drawn = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    thick = line_named(figure, "rollout")
    assert thick.get_ydata().tolist() == list(full(100).g2)
    assert {tuple(line.get_ydata()) for line in drawn if line is not thick} == {(0.1, 0.2, 0.3), (0.4, 0.5, 0.6)}
    assert all(line.get_linewidth() < thick.get_linewidth() for line in drawn if line is not thick)
    without = PLOTS["drift_recovery"].draw({"rollout": [full(100, g2=())]})
    assert not without.axes[0].has_data()


def test_the_free_running_chain_and_short_paths_never_share_a_plot():
    record = full(100, v=(0.1, 0.2, 0.3), free_v=(0.5, 0.6, 0.7, 0.8))
    short, free = (PLOTS[name].draw({"rollout": [record]}) for name in ("drift_v", "drift_free"))
    assert line_named(short, "rollout").get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert line_named(free, "rollout").get_ydata().tolist() == [0.5, 0.6, 0.7, 0.8]
    assert PLOTS["drift_v"].draw({"rollout": [full(0, v=())]}).axes[0].has_data() is False


def test_the_lag_and_its_residual_have_axes_of_their_own_with_their_units():
    figure = PLOTS["drift_lag"].draw({"rollout": [full(100, lag=(1.0, 2.0, 3.0), lag_residual=(0.1, 0.2, 0.3))]})
    assert [line_named(figure, "rollout", place).get_ydata().max() for place in (0, 1)] == [3.0, 0.3]
    assert "grid steps" in figure.axes[0].get_ylabel()
    assert "rms" in figure.axes[1].get_ylabel()


def mesh(figure, place: int = 0) -> np.ndarray:
    """Values of a heat map as they lie on the page: top row first, left column first."""
    (found,) = figure.axes[place].collections
    values = np.ma.filled(found.get_array().astype(float), np.nan)
    values = values if figure.axes[place].yaxis_inverted() else values[::-1]
    return values[:, ::-1] if figure.axes[place].xaxis_inverted() else values


def test_the_drift_heat_map_has_noise_left_clean_right_and_training_upward():
    records = [cheap(0, m1=(1.0, 2.0, 3.0)), cheap(50, m1=(4.0, 5.0, 6.0))]
    figure = PLOTS["drift_heat"].draw({"rollout": records})
    assert mesh(figure).tolist() == [[6, 5, 4], [3, 2, 1]]
    assert summary_of(figure) == "rollout: largest 6 at timestep 900, step 50."


def test_a_heat_map_has_one_panel_an_arm_and_one_scale():
    series = {
        f"{arm}-s{seed}": [cheap(0, 0.1 * seed), cheap(50, place + 1.0)]
        for place, arm in enumerate(ARMS)
        for seed in (1, 3)
    }
    figure = PLOTS["drift_heat"].draw(series)
    panels = figure.axes[: len(ARMS)]
    assert [axes.get_title(loc="left") for axes in panels] == list(ARMS)
    assert len({axes.collections[0].get_clim() for axes in panels}) == 1
    assert panels[0].collections[0].get_clim() == pytest.approx((0.1, 3.1))
    assert mesh(figure)[-1] == pytest.approx([0.3, 0.2, 0.1])
    assert "rms" in figure.axes[-1].get_ylabel()


def test_a_heat_map_leaves_a_gap_where_measurements_are_missing():
    figure = PLOTS["drift_heat"].draw({"rollout": [cheap(step) for step in (0, 50, 100, 250)]})
    assert np.isnan(mesh(figure)).all(axis=1).tolist() == [False, True, False, False, False]


def test_a_heat_map_without_a_step_of_all_runs_says_so():
    figure = PLOTS["drift_heat"].draw({"rollout-s1": [cheap(0)], "rollout-s2": [cheap(50)], "placebo": [cheap(0)]})
    assert summary_of(figure).startswith("rollout: no step that all of its runs have; placebo: largest")


def test_cells_hold_their_centres_and_do_not_overlap():
    edges, places = cells(np.array([1.0, 2.0, 4.0, 5.0, 5.5, 9.0]))
    assert (np.diff(edges) > 0).all()
    for centre, place in zip((1.0, 2.0, 4.0, 5.0, 5.5, 9.0), places, strict=True):
        assert edges[place] < centre < edges[place + 1]


def test_bands_are_coloured_apart_on_both_sides_of_zero():
    bands = ((0.0, 0.0, 0.1), (0.0, 0.0, 0.0), (-0.4, 0.0, 0.0))
    figure = PLOTS["drift_bands"].draw({"rollout": [full(100, bands=bands)]})
    low, high = figure.axes[0].collections[0].get_clim()
    assert low == -high == pytest.approx(-0.4)
    assert mesh(figure)[-1].tolist() == [-0.4, 0, 0]  # the coarsest band below, noise left
    assert mesh(figure)[0].tolist() == [0, 0, 0.1]
    assert "farthest from 0 is -0.4 at band 1, timestep 900" in summary_of(figure)


@pytest.mark.parametrize(("name", "places"), [("sweep_steps", [4, 8, 20, 28]), ("sweep_guidance", [1, 2, 4])])
def test_a_sweep_holds_the_other_setting_and_takes_in_the_runs_own(name, places):
    figure = PLOTS[name].draw({"rollout": measurements(3)})
    line = line_named(figure, "rollout")
    assert line.get_xdata().tolist() == places
    own = line.get_ydata()[places.index({"sweep_steps": 20, "sweep_guidance": 1}[name])]
    assert own == -0.3  # of the full measurement
    assert f"V at the end of the chain (nats): rollout {line.get_ydata()[0]:.4g} at {places[0]}" in summary_of(figure)


def test_a_sweep_shows_the_scores_that_it_is_asked_for():
    figure = PLOTS["sweep_steps"].draw({"rollout": measurements(2)}, scores=("high", "nearest"))
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "High-frequency energy\n(of the training set's)",
        "nearest (rms)",
    ]


def test_without_a_sweep_or_with_another_number_of_samples_there_is_no_curve():
    own = cheap(100, chain=chain(-0.2, 20, 1.0, samples=8))
    other = sweep(100, 4, 1.0)
    fewer = DriftRecord(step=100, scope="sweep", chain=chain(-0.2, 4, 1.0, samples=2))
    for records in ([own], [own, fewer]):
        assert "No sweep yet" in summary_of(PLOTS["sweep_steps"].draw({"rollout": records}))
    assert PLOTS["sweep_steps"].draw({"rollout": [own, other]}).axes[0].has_data()
