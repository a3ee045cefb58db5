"""Compare over fabricated experiments, without a browser: words, tables, plots, what is served."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from gradio.data_classes import _StaticFiles

from app.comparison import chosen_of
from app.curves import curves_html
from app.samples import samples_of
from app.tabs.compare import choose
from app.viewer import head
from core.config.saved import save_config
from core.plots import PLOTS
from core.plots.axes import x_label
from core.runs import journal
from core.runs.drift import ChainScores, DriftRecord
from core.runs.folder import RunFolder
from core.runs.records import record_event
from tests.support.fabricated import changed, finish, look_at, make_experiment, write_probe, write_sample, write_steps

CAT = "experiments/orange-cat"


@pytest.fixture(autouse=True)
def words_for_plots(request, monkeypatch):
    """Title, axis and labels in the place of a drawing, which takes long; tests of ``drawings`` get the real ones."""

    def words(name, series, **options):
        return f"<figure>{PLOTS[name].title} over {x_label(series)}: {', '.join(series)}</figure>"

    if "drawings" not in request.fixturenames:
        monkeypatch.setattr("app.charts.draw", words)


@pytest.fixture
def drawings():
    """Asks for real plots."""


def compare(parts, *picked, seen="", **more):
    """What one look at the tab fills, by the part's short name."""
    given = {"compare.pick": list(picked), **{f"compare.{name}": value for name, value in more.items()}}
    outputs, seen = look_at(parts, "compare", seen, **given)
    return {name.removeprefix("compare."): value for name, value in outputs.items()}, seen


def sentence(outputs):
    return re.search(r"<strong>(.*?)</strong>", outputs["verdict"])[1]


@pytest.mark.parametrize(("seeds", "begins"), [(1, "Illustration"), (3, "Exploratory"), (6, "Difference")])
def test_the_verdict_says_no_more_than_its_seeds_bear(parts, workspace, seeds, begins):
    make_experiment(workspace, seeds=seeds)
    outputs, _ = compare(parts, CAT)
    assert sentence(outputs).startswith(begins)
    assert ("difference" in sentence(outputs).lower()) == (seeds >= 6)
    assert ("95 % interval" in outputs["scores"]) == (seeds >= 5)
    assert (", p = " in outputs["scores"]) == (seeds >= 6)


def test_without_an_effect_six_seeds_show_no_difference(parts, workspace):
    make_experiment(workspace, seeds=6, effect=0.0)
    assert sentence(compare(parts, CAT)[0]).startswith("No difference shown")


def test_a_torn_and_a_missing_record_are_said_and_nothing_is_put_in_their_place(parts, workspace):
    experiment = make_experiment(workspace, seeds=3)
    with experiment.arms[1].run.metrics_path.open("a") as file:
        file.write('{"step": 31, "lo')
    experiment.arms[3].run.drift_path.unlink()
    outputs, _ = compare(parts, CAT)
    assert "rollout-s42: the last line of metrics.jsonl is torn" in outputs["verdict"]
    assert "rollout-s43" in outputs["verdict"]
    assert "from 2 training seeds" in sentence(outputs)
    assert "2 of 3 measured" in outputs["scores"]


def test_arms_that_differ_in_more_than_they_declare_get_no_verdict_but_the_difference(parts, workspace):
    experiment = make_experiment(workspace, seeds=6)
    run = experiment.arms[1].run
    run.config_path.unlink()
    save_config(changed(RunFolder(experiment.arms[0].run.path).config(), learning_rate=0.002), run.config_path)
    outputs, _ = compare(parts, CAT)
    assert sentence(outputs).startswith("No verdict")
    assert "learning_rate 0.001 → 0.002" in outputs["verdict"]
    assert "p = " not in outputs["verdict"]
    assert "Learning rate" in outputs["difference"]


def test_runs_that_are_no_experiment_get_no_verdict_and_are_at_most_six(parts, workspace, demo):
    for seed in range(7):
        run = RunFolder.create(workspace.runs_dir, f"Seed {seed}", changed(demo, seed=seed))
        write_steps(run, 2)
        write_probe(run, 2, -0.1 * seed)
        finish(run)
    outputs, _ = compare(parts, *(f"runs/seed-{seed}" for seed in range(7)))
    assert sentence(outputs).startswith("No verdict: these were not started as one experiment")
    assert "1 more" in outputs["verdict"]
    assert "seed-5" in outputs["scores"]
    assert "seed-6" not in outputs["scores"]
    assert "<td>5</td>" in outputs["difference"]


def test_a_large_experiment_is_shown_whole_a_column_an_arm(parts, workspace, drawings):
    arms = ("teacher-forced", "rollout", "equal-compute", "input-perturbation", "placebo", "replicate", "too-long")
    make_experiment(workspace, arms=arms, seeds=2)
    outputs, _ = compare(parts, CAT)
    head_row = re.search(r"<thead>(.*?)</thead>", outputs["scores"])[1]
    assert head_row.count("<th") == 8
    table = json.loads(re.search(r"json\">(.*?)</script>", outputs["pictures"])[1])
    assert len(table["runs"]) == 14
    legend = re.findall(r"placebo(?:-s\d+)?", re.sub(r"<details>.*?</details>", "", outputs["curves"]))
    assert legend
    assert not any("-s" in name for name in legend)


def test_every_score_has_its_unit_and_which_side_is_better(parts, experiment):
    scores = compare(parts, CAT)[0]["scores"]
    assert "declared before training" in scores
    assert "nats; ↕ neither side is better by itself" in scores
    assert "latent rms; ↓ lower is better" in scores
    assert "↑ higher is better" in scores
    assert "Compared at step 30." in scores


def test_equal_compute_is_another_view_of_table_and_plots_and_the_verdict_stays(parts, workspace):
    experiment = make_experiment(workspace, seeds=3)
    for arm in experiment.arms:
        write_probe(arm.run, 20, 0.5)
    outputs, seen = compare(parts, CAT, view="steps", axis="steps")
    assert "Compared at step 30." in outputs["scores"]
    again, _ = compare(parts, CAT, seen=seen, view="compute", axis="steps")
    assert set(again) == {"scores", "costs", "frontiers"}
    assert "within the compute that the rollout had spent" in again["scores"]


@pytest.mark.parametrize(("axis", "words"), [("forwards", "forward equivalents (items)"), ("seconds", "training time")])
def test_curves_are_drawn_over_compute_and_time_too(parts, experiment, axis, words):
    outputs, seen = compare(parts, CAT, view="steps", axis="steps")
    assert words not in outputs["curves"]
    again, _ = compare(parts, CAT, seen=seen, view="steps", axis=axis)
    assert set(again) == {"curves"}
    assert words in again["curves"]


@pytest.mark.parametrize("odd", [None, "", "evil", 7, ["steps"]])
def test_a_view_or_axis_that_there_is_not_counts_as_steps(parts, experiment, odd):
    outputs, _ = compare(parts, CAT, view=odd, axis=odd)
    assert "Equal steps" in outputs["scores"]
    assert "optimizer step" in outputs["curves"]


def test_a_new_picture_renews_the_pictures_alone(parts, experiment):
    _, seen = compare(parts, CAT)
    write_sample(experiment.arms[0].run, 40)
    again, seen = compare(parts, CAT, seen=seen)
    assert set(again) == {"pictures"}
    assert "[40,0,42]" in again["pictures"]
    write_probe(experiment.arms[0].run, 20, -0.4)
    again, _ = compare(parts, CAT, seen=seen)
    assert set(again) == {"verdict", "scores", "costs", "frontiers", "sweeps", "curves"}


def test_live_plots_are_shown_where_there_is_something_to_draw(parts, workbench, workspace, experiment, demo):
    assert "Variance V of the live rollouts" in compare(parts, CAT)[0]["curves"]
    run = RunFolder.create(workspace.runs_dir, "Plain", demo)
    write_steps(run, 3)
    finish(run)
    html = curves_html(workbench, chosen_of(workbench, ["runs/plain"]), "steps")
    assert "Variance V of the live rollouts" not in html
    assert "Training loss" in html


def test_sweeps_are_drawn_where_measured_and_else_the_command_is_told(parts, experiment):
    outputs, seen = compare(parts, CAT)
    assert "python -m core score orange-cat" in outputs["sweeps"]
    for arm in experiment.arms:
        for steps in (4, 8):
            chain = ChainScores(samples=8, inference_steps=steps, guidance=1.0, v=-0.1, nearest=0.5, diversity=0.8)
            journal.append(arm.run.drift_path, DriftRecord(step=30, scope="sweep", chain=chain).to_dict())
    again, _ = compare(parts, CAT, seen=seen)
    assert again["sweeps"].count("<figure") == 2
    assert "python -m core" not in again["sweeps"]


def test_a_drift_alarm_is_told(parts, experiment):
    run = experiment.arms[1].run
    record_event(run.events_path, "drift_alarm", "V at step 30 is 9.5 % below teacher forcing", metric="v_end")
    assert "9.5 % below teacher forcing" in compare(parts, CAT)[0]["verdict"]


def test_the_one_setting_that_differs_is_shown(parts, experiment):
    difference = compare(parts, CAT)[0]["difference"]
    assert difference.count("<tr>") == 2
    assert "Longest rollout K" in difference


def test_only_samples_folders_are_served_and_every_picture_lies_in_one(parts, experiment, workbench):
    table = json.loads(re.search(r"json\">(.*?)</script>", compare(parts, CAT)[0]["pictures"])[1])
    served = [Path(path) for path in _StaticFiles.all_paths if Path(path).is_relative_to(workbench.workspace.root)]
    assert {path.name for path in served} == {"samples"}
    for run, arm in zip(table["runs"], experiment.arms, strict=True):
        assert Path(unquote(run["base"]).removeprefix("gradio_api/file=")) in served
        assert [tuple(spot) for spot in run["spots"]] == [
            (spot.step, spot.prompt, spot.seed) for spot in samples_of(arm.run)
        ]


def test_the_script_in_the_pages_head_does_not_end_itself():
    assert head().count("</") == 1
    assert head().endswith("</script>")
    assert 'define("rollout-viewer"' in head()


def test_what_is_compared_follows_the_page_once_and_then_the_choice():
    names = ["experiments/new", "experiments/old", "runs/a"]
    assert choose(names, "", [], None) == ["experiments/new"]
    assert choose(names, "experiments/old", [], None) == ["experiments/old"]
    assert choose(names, "experiments/old", ["runs/a"], "experiments/old") == ["runs/a"]
    assert choose(names, "runs/a", ["experiments/old"], "experiments/old") == ["runs/a"]
    assert choose(names, "", ["gone"], "") == []
