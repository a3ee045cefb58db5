"""Every plot of the registry, over nothing, one record and many."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from core.config.foreign.ramps import RampThere
from core.config.presets import load_preset
from core.plots import PLOTS
from core.plots.arms import KNOWN
from core.plots.figure import render_svg, summary_of
from core.plots.lines import POINTS, curve, mean_curve, running_mean, thin
from core.plots.preview import Preview
from core.runs.records import StepRecord
from tests.core.plots.made import ARMS, cheap, curves_of, line_named, series_of, steps

OVER_STEPS = [name for name, plot in PLOTS.items() if plot.records == "steps"]


@pytest.mark.parametrize("count", [0, 1, 2000])
@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_draws_nothing_one_and_many_records_and_says_so_in_words(name, count):
    figure = PLOTS[name].draw(series_of(name, count))
    assert summary_of(figure)
    assert "nan" not in summary_of(figure)
    root = ET.fromstring(render_svg(figure, PLOTS[name].title))
    assert root.get("aria-label", "").startswith(PLOTS[name].title)


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_without_any_arm_says_that_it_is_empty(name):
    figure = PLOTS[name].draw({})
    assert [text.get_text() for text in figure.axes[0].texts]
    assert not any(axes.has_data() for axes in figure.axes)
    assert not any(axes.get_xlabel() or axes.get_ylabel() for axes in figure.axes)


@pytest.mark.parametrize("name", PLOTS)
def test_axis_labels_carry_units(name):
    axes = PLOTS[name].draw(series_of(name, 30)).axes
    assert any(place.get_xlabel() for place in axes)
    assert any(place.get_ylabel() for place in axes) or name in {"cost", "differences"}  # names stand there


LIVE = {
    "rollout_drift": "No item has been rolled out yet",
    "rollout_v": "No item has been rolled out yet",
    "rollout_g2": "Nothing rolled out in visited mode yet",
    "posterior_entropy": "No item rolled out with the posterior target yet",
    "posterior_nearest": "No item rolled out with the posterior target yet",
    "reflexflow": "No item rolled out with ReflexFlow yet",
    "reflexflow_spread": "No item rolled out with ReflexFlow yet",
}


@pytest.mark.parametrize("name", LIVE)
def test_a_plot_of_live_rollouts_over_a_run_without_any_says_why_it_is_empty(name):
    plain = [StepRecord(step=step, loss=1.0, items=4) for step in range(1, 40)]
    figure = PLOTS[name].draw({"teacher-forced": plain})
    assert summary_of(figure) == f"{LIVE[name]}."
    assert [text.get_text() for text in figure.axes[0].texts] == [LIVE[name]]
    both = PLOTS[name].draw({"teacher-forced": plain, "rollout": steps(40)})
    assert [line.get_label() for line in both.axes[0].lines if line.get_label() in ARMS] == ["rollout"]


@pytest.mark.parametrize("name", [name for name in LIVE if name != "reflexflow"])
def test_a_plot_of_live_rollouts_shows_the_field_it_is_named_after(name):
    values = [0.1, 0.4, 0.2]
    records = [StepRecord(step=step + 1, loss=1.0, **{name: value}) for step, value in enumerate(values)]
    (line,) = curves_of(PLOTS[name].draw({"rollout": records}))
    assert line.get_ydata().tolist() == values


def test_the_parts_of_reflexflow_are_drawn_apart():
    records = [StepRecord(step=n, loss=1.0, reflexflow_direction=2.0, reflexflow_error=0.25) for n in range(1, 30)]
    figure = PLOTS["reflexflow"].draw({"rollout": records})
    direction, error = curves_of(figure)
    assert np.allclose(direction.get_ydata(), 2.0)
    assert np.allclose(error.get_ydata(), 0.25)
    assert direction.get_linewidth() > error.get_linewidth()
    assert summary_of(figure) == "rollout: direction 2, weighted error 0.25 at step 29."


@pytest.mark.parametrize(
    "name",
    ["loss", "rollout_drift", "rollout_v", "reflexflow", "drift_m1", "chain_v", "drift_v", "drift_m1_timestep", "ramp"],
)
def test_arms_differ_in_more_than_colour(name):
    named = [line for line in PLOTS[name].draw(series_of(name, 60)).axes[0].lines if line.get_label() in ARMS]
    assert len(named) == len(ARMS)
    assert len({str(line._dash_pattern) for line in named}) == len(ARMS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["loss", "probability", "grad_norm"])
def test_long_trainings_are_thinned(name):
    for line in PLOTS[name].draw(series_of(name, 20_000, ("rollout",))).axes[0].lines:
        assert len(line.get_xdata()) <= POINTS + 2


def test_thinning_keeps_spikes_and_both_ends():
    values = np.zeros(50_000)
    values[31_234], values[777] = 9.0, -9.0
    kept = thin(values)
    assert {0, 777, 31_234, 49_999} <= set(kept.tolist())
    assert len(kept) <= POINTS


def test_thinning_survives_gaps_and_leaves_short_curves_whole():
    assert len(thin(np.full(5000, np.nan))) == 2
    assert thin(np.arange(7.0)).tolist() == list(range(7))


def test_running_mean_of_a_constant_is_that_constant_from_the_first_value_on():
    assert np.allclose(running_mean(np.full(40, 3.5), 10), 3.5)
    assert running_mean(np.array([0.0, 2.0, 4.0]), 2).tolist() == [0.0, 1.0, 3.0]


def test_the_line_over_records_of_a_diverged_run_has_a_gap_not_a_crash():
    records = [StepRecord(step=1, loss=1.0), StepRecord(step=2, loss=float("nan")), StepRecord(step=3, loss=2.0)]
    figure = PLOTS["loss"].draw({"rollout": records})
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1.0, 3.0]


def test_preview_of_a_rollout_that_is_off_says_so():
    config = load_preset("demo").config
    off = config.model_copy(
        update={"scheduled_sampling": config.scheduled_sampling.model_copy(update={"max_step_offset": 0})}
    )
    figure = PLOTS["offsets"].draw({"rollout": [Preview.of(off)]})
    assert summary_of(figure) == "Rollout is off."


def test_the_words_of_a_curve_are_its_last_and_lowest_value():
    values = [3.0, 1.0, 2.0]
    records = [StepRecord(step=10 * place, loss=value) for place, value in enumerate(values)]
    assert summary_of(PLOTS["loss"].draw({"rollout": records})) == "rollout: 2 at step 20, lowest 1 at step 10."


@pytest.mark.parametrize("name", OVER_STEPS)
def test_many_runs_of_an_arm_are_thin_curves_around_one_thick_mean_and_one_entry(name):
    labels = tuple(f"{arm}-s{seed}" for arm in KNOWN for seed in range(6))
    figure = PLOTS[name].draw(series_of(name, 30, labels))
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert entries == list(KNOWN)
    assert "(mean of 6 runs)" in summary_of(figure)
    thick = line_named(figure, "rollout")
    others = [line for line in figure.axes[0].lines if line.get_color() == thick.get_color() and line is not thick]
    assert others
    assert all(line.get_linewidth() < thick.get_linewidth() for line in others)


def test_the_mean_is_taken_over_the_steps_that_all_runs_have_and_the_rest_is_said():
    runs = {
        "rollout-s1": [cheap(0, 0.2), cheap(50, 0.4), cheap(100, 0.6)],
        "rollout-s2": [cheap(0, 0.4), cheap(100, 1.0)],
    }
    figure = PLOTS["drift_m1"].draw(runs)
    mean = line_named(figure, "rollout")
    assert mean.get_xdata().tolist() == [0, 100]
    assert mean.get_ydata() == pytest.approx([0.3, 0.8])
    said = summary_of(figure)
    assert said.startswith("rollout (mean of 2 runs): 0.8 at step 100, lowest 0.3 at step 0")
    assert "1 steps that not all have are left out of the mean" in said


def test_a_run_of_an_arm_without_records_is_counted_in_the_words():
    figure = PLOTS["drift_m1"].draw({"rollout-s1": [cheap(0), cheap(50)], "rollout-s2": []})
    assert "rollout (mean of 1 of 2 runs)" in summary_of(figure)


def test_runs_without_a_common_step_have_no_mean():
    figure = PLOTS["drift_m1"].draw({"rollout-s1": [cheap(0)], "rollout-s2": [cheap(50)]})
    assert not len(line_named(figure, "rollout").get_xdata())
    assert "no step that all of its runs have" in summary_of(figure)


def test_a_step_that_was_trained_again_counts_with_its_last_record():
    records = [StepRecord(step=step, loss=loss) for step, loss in ((1, 1.0), (2, 2.0), (3, 9.0), (2, 5.0), (3, 6.0))]
    at, values = curve(records, "loss")
    assert at.tolist() == [1, 2, 3]
    assert values.tolist() == [1, 5, 6]


def test_the_mean_of_one_curve_is_that_curve():
    points = (np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert mean_curve([points]) is points


def test_extremes_of_a_long_run_survive_thinning_in_the_drawing():
    records = [StepRecord(step=step, loss=1.0) for step in range(1, 100_001)]
    records[54_320] = StepRecord(step=54_321, loss=70.0)
    figure = PLOTS["loss"].draw({"rollout": records})
    highest = max(figure.axes[0].lines, key=lambda line: line.get_ydata().max())
    assert highest.get_ydata().max() == 70
    assert highest.get_xdata()[highest.get_ydata().argmax()] == 54_321
    assert all(len(line.get_xdata()) <= POINTS + 2 for line in figure.axes[0].lines)


def test_listing_the_plots_imports_no_drawing_library():
    code = "import sys, core.plots; assert 'matplotlib' not in sys.modules and 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_ramp_of_another_tool_is_drawn_over_ours_with_a_dash():
    config = load_preset("demo").config
    there = RampThere(max_step_offset=3, probability=1.0, ramp_steps=100)
    figure = PLOTS["ramp"].draw({"here": [replace(Preview.of(config), there=there)]})
    (axes,) = figure.axes
    ours, theirs = axes.get_lines()
    assert (ours.get_linestyle(), theirs.get_linestyle()) == ("-", "--")
    assert theirs.get_ydata()[0] == 1.0
    assert "SimpleTuner: 1 at first, 0.5 at step" in summary_of(figure)
