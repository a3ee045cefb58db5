"""The numbers of every plot as tables, read off the drawing."""

import numpy as np
import pytest

from core.plots import PLOTS
from core.plots.figure import render_svg
from core.plots.table import COLUMNS, ROWS, digits, tables_of
from core.runs.drift import DriftRecord
from core.runs.records import StepRecord
from tests.core.plots.made import ARMS, cheap, series_of, steps


@pytest.mark.parametrize("count", [0, 1, 2000])
@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_that_shows_something_has_tables_of_bounded_size_with_units(name, count):
    figure = PLOTS[name].draw(series_of(name, count))
    tables = tables_of(figure)
    assert bool(tables) == any(axes.has_data() for axes in figure.axes)
    for table in tables:
        assert table.caption
        assert all(table.head)
        assert len(set(table.head)) == len(table.head)
        assert 0 < len(table.rows) <= ROWS
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert any(cell for row in table.rows for cell in row[1:])
    if any(axes.get_ylabel() for axes in figure.axes):
        words = " ".join(" ".join(axes.get_ylabel().split()) for axes in figure.axes)
        assert all(any(part in words for part in table.caption.split(": ")[-1].split(", at ")) for table in tables)


def test_a_short_curve_is_told_value_by_value_and_what_is_not_known_stays_empty():
    one = [StepRecord(step=step, loss=loss, items=1) for step, loss in ((1, 0.5), (2, 0.25), (4, 0.125))]
    other = [StepRecord(step=step, loss=loss, items=1) for step, loss in ((2, 3.0), (3, 12345.678))]
    (table,) = tables_of(PLOTS["loss"].draw({"teacher-forced": one, "rollout": other}))
    assert table.head == ("optimizer step", "teacher-forced", "rollout")
    assert table.rows == (("1", "0.5", ""), ("2", "0.25", "3"), ("3", "", "1.235e+04"), ("4", "0.125", ""))


def test_a_long_curve_is_read_off_at_even_places_between_its_ends_and_says_so():
    records = [StepRecord(step=step, loss=step / 1000, items=1, grad_norm=2.0 * step) for step in range(1, 5001)]
    (table,) = tables_of(PLOTS["learning_rate"].draw({"rollout": steps(5000)}))
    assert len(table.rows) == ROWS
    (table,) = tables_of(PLOTS["grad_norm"].draw({"rollout": records}))
    assert "at 50 of" in table.caption
    assert table.rows[0][0] == "1"
    assert table.rows[-1][0] == "5000"
    for row in table.rows:
        assert float(row[1]) == pytest.approx(2 * float(row[0]), rel=1e-3)


def test_thin_lines_are_columns_of_their_own_and_the_legend_does_not_name_them():
    figure = PLOTS["probability"].draw({"rollout": steps(40)})
    (table,) = tables_of(figure)
    assert table.head == ("optimizer step", "rollout", "rollout, realised")
    assert "realised" not in render_svg(figure, "x").split("</text>")[-1]
    assert [text.get_text() for text in figure.legends[0].texts] == ["rollout"]


def test_levels_hold_for_every_row():
    (table,) = tables_of(PLOTS["drift_m1"].draw(series_of("drift_m1", 3)))
    assert table.head == ("optimizer step", *ARMS, "base model")
    assert {row[-1] for row in table.rows} == {"0.15"}


def test_a_heat_map_tells_its_own_cells_where_the_steps_are_uneven():
    records = [
        DriftRecord(step=step, grid=(100.0, 900.0), m1=(step / 1000, 0.5), v=(0, 0), m1_mean=0.3, base=False, pairs=2)
        for step in (0, 100, 700)
    ]
    (table,) = tables_of(PLOTS["drift_heat"].draw({"rollout": records}))
    assert table.caption == "rollout: M1 (relative rms)"
    assert table.head == ("optimizer step", "timestep 900", "timestep 100")
    assert table.rows == (("0", "0.5", "0"), ("100", "0.5", "0.1"), ("700", "0.5", "0.7"))


def test_a_heat_map_of_many_timesteps_keeps_both_ends():
    grid = tuple(float(timestep) for timestep in range(10, 1000, 10))
    record = cheap(0, grid=grid, m1=tuple(timestep / 1000 for timestep in grid), v=tuple(0.0 for _ in grid))
    (table,) = tables_of(PLOTS["drift_heat"].draw({"rollout": [record]}))
    assert len(table.head) == COLUMNS + 1
    assert table.rows[0][1] == "0.99"
    assert table.rows[0][-1] == "0.01"


def test_differences_name_the_arm_and_tell_each_seed():
    tables = tables_of(PLOTS["differences"].draw(series_of("differences", 3)))
    first = tables[0]
    assert first.head == ("arm", "interval", "each seed", "mean") or first.head == ("arm", "each seed", "mean")
    assert [row[0] for row in first.rows] == list(ARMS)
    for row in first.rows:
        seeds = [float(value) for value in row[first.head.index("each seed")].split(", ")]
        assert float(row[-1]) == pytest.approx(np.mean(seeds), rel=1e-3)


def test_bars_and_areas_tell_their_heights():
    (lengths,) = tables_of(PLOTS["offsets"].draw(series_of("offsets", 1, ("rollout",))))
    assert [row[0] for row in lengths.rows] == [str(k) for k in range(len(lengths.rows))]
    assert sum(float(row[1]) for row in lengths.rows) == pytest.approx(1, abs=1e-3)
    (touched,) = tables_of(PLOTS["touched"].draw(series_of("touched", 1, ("rollout",))))
    assert touched.head == ("timestep (0 = clean)", "passed", "start")
    assert sum(float(row[2]) for row in touched.rows) == pytest.approx(1, abs=1e-2)


def test_whole_numbers_have_no_fraction_and_what_is_not_finite_is_left_out():
    assert [digits(value) for value in (3.0, 1200, 0.123456, 1e12, np.nan, np.inf)] == [
        "3",
        "1200",
        "0.1235",
        "1e+12",
        "",
        "",
    ]


def test_a_level_curve_is_drawn_level_and_rounding_errors_are_no_course():
    records = [StepRecord(step=step, loss=1.0, items=1, rolled=1, rollout_drift=0.1) for step in range(1, 41)]
    axes = PLOTS["rollout_drift"].draw({"rollout": records}).axes[0]
    low, high = axes.get_ylim()
    assert high - low > 0.005
    assert low < 0.1 < high
