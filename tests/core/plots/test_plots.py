"""Every plot of the registry, over nothing, one record and many."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from core.config.presets import load_preset
from core.plots import PLOTS
from core.plots.figure import ARM_COLOURS, CSS_VARIABLES, arm_styles, describe, new_axes, render_svg, save, summary_of
from core.plots.lines import POINTS, running_mean, thin
from core.plots.preview import Preview
from core.runs.drift import ChainScores, DriftRecord
from core.runs.records import StepRecord

ARMS = ("teacher-forced", "rollout", "too-long")


def steps(count: int) -> list[StepRecord]:
    noise = np.random.default_rng(0).random(count)
    return [
        StepRecord(
            step=step + 1,
            loss=1.0 + noise[step],
            lr=1e-3,
            grad_norm=0.5 + noise[step],
            probability=0.5,
            rolled=step % 3,
            items=4,
            mean_offset=step % 4,
            max_offset=3,
            rollout_drift=noise[step] if step % 3 else None,
            rollout_v=noise[step] - 0.5 if step % 3 else None,
            rollout_g2=noise[step] - 0.5 if step % 3 else None,
            posterior_entropy=noise[step] if step % 3 else None,
            posterior_nearest=1 - noise[step] / 2 if step % 3 else None,
            reflexflow_direction=noise[step] + 1 if step % 3 else None,
            reflexflow_error=noise[step] + 0.1 if step % 3 else None,
            reflexflow_spread=noise[step] if step % 3 else None,
        )
        for step in range(count)
    ]


def chain(v: float) -> ChainScores:
    return ChainScores(samples=8, inference_steps=20, guidance=1.0, v=v, diversity=0.8, nearest=0.5, high=0.9)


def probes(count: int) -> list[DriftRecord]:
    grid = (900.0, 500.0, 100.0)
    made = [
        DriftRecord(step=100 * n, grid=grid, m1=(0.1, 0.2, 0.3), m1_mean=0.2 + n, chain=chain(-0.1 * n))
        for n in range(count)
    ]
    return (
        [*made, DriftRecord(step=0, grid=grid, m1=(0.1, 0.1, 0.1), m1_mean=0.15, chain=chain(-0.02), base=True)]
        if made
        else []
    )


def previews(count: int) -> list[Preview]:
    return [Preview.of(load_preset("demo").config)] * count


MAKERS = {"steps": steps, "drift": probes, "preview": previews}


def series_of(name: str, count: int, labels: tuple[str, ...] = ARMS) -> dict[str, list]:
    return {label: MAKERS[PLOTS[name].records](count) for label in labels}


def curves_of(figure) -> list:
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) > 2]


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
    assert not curves_of(figure)


@pytest.mark.parametrize("name", PLOTS)
def test_axis_labels_carry_units(name):
    axes = PLOTS[name].draw(series_of(name, 30)).axes[0]
    assert axes.get_xlabel()
    assert axes.get_ylabel() or name == "cost"


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
    ["loss", "rollout_drift", "rollout_v", "reflexflow", "drift_m1", "drift_v", "drift_m1_timestep", "ramp"],
)
def test_arms_differ_in_more_than_colour(name):
    named = [line for line in PLOTS[name].draw(series_of(name, 60)).axes[0].lines if line.get_label() in ARMS]
    assert len(named) == len(ARMS)
    assert len({str(line._dash_pattern) for line in named}) == len(ARMS)  # type: ignore[attr-defined]


def test_an_arm_looks_the_same_whichever_arms_stand_beside_it():
    alone, together = arm_styles(["too-long"]), arm_styles(["my run", *ARMS])
    assert alone["too-long"] == together["too-long"]
    assert len({style.colour for style in together.values()}) == 4


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


@pytest.mark.parametrize("name", PLOTS)
def test_svg_on_the_page_leaves_every_colour_to_the_theme(name):
    text = render_svg(PLOTS[name].draw(series_of(name, 50)), "title")
    bare = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", text)
    assert not re.findall(r"#[0-9a-f]{6}\b", bare)
    assert "var(--plot-subdued" in text


def test_plots_share_a_page_without_sharing_ids():
    first, second = (render_svg(PLOTS[name].draw(series_of(name, 50)), name) for name in ("loss", "drift_m1"))
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in (first, second)]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', first)) <= set(ids[0])


def test_names_from_people_are_escaped():
    figure, _ = new_axes("x", "y")
    text = render_svg(describe(figure, "<script>alert(1)</script>"), '"><img src=x>')
    assert "<script>" not in text
    assert "<img" not in text


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


def test_plots_are_saved_as_png_and_svg(tmp_path):
    figure = PLOTS["loss"].draw(series_of("loss", 30))
    assert save(figure, tmp_path / "loss.png", "Training loss").read_bytes()[:4] == b"\x89PNG"
    assert ARM_COLOURS[0] in save(figure, tmp_path / "loss.svg").read_text()


def test_every_colour_of_a_plot_has_its_variable():
    assert set(ARM_COLOURS) <= set(CSS_VARIABLES)
    assert len(set(CSS_VARIABLES.values())) == len(CSS_VARIABLES)


def test_listing_the_plots_imports_no_drawing_library():
    code = "import sys, core.plots; assert 'matplotlib' not in sys.modules and 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
