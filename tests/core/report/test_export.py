"""The report folder: whole, of this experiment, and silent about the machine."""

import csv
import html
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from core.config.paths import PROJECT_ROOT
from core.errors import RunError
from core.report.export import export_report
from core.report.facts import portable
from core.report.judged import judge_experiment
from core.report.words import verdict_lines
from core.runs.experiment_folder import Experiment
from core.runs.records import record_event
from core.runs.votes import Vote, record_vote
from core.samples.found import find_samples

from fabricated import make_experiment  # isort: skip
from core.runs.workspace import Workspace


@pytest.fixture(scope="module")
def report(experiment, tmp_path_factory):
    """The report of the session's experiment."""
    record_event(experiment.arms[1].run.events_path, "drift_alarm", "V at step 30 is 9 % below teacher forcing")
    vote = Vote(0.0, 42, 30, 0, 42, "rollout", "teacher-forced", "left")
    record_vote(experiment.path / "votes.jsonl", vote)
    return export_report(experiment, tmp_path_factory.mktemp("out") / "orange-cat")


@pytest.fixture(scope="module")
def text(report):
    return (report / "index.html").read_text(encoding="utf-8")


def test_the_verdict_on_the_page_is_that_of_the_words(experiment, text):
    shown = html.unescape(text)
    for line in verdict_lines(judge_experiment(experiment).judgement):
        assert line in shown


def test_nothing_in_the_folder_names_this_machine(report, workspace):
    secrets = [str(path).encode() for path in (workspace.root, PROJECT_ROOT, Path.home(), report.parent)]
    files = [path for path in report.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        data = path.read_bytes()
        assert not [secret for secret in secrets if secret in data], path.name
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert not re.search(r"(^|[\s\"'])/\w+/", str(picture.info)), path.name


def test_every_link_of_the_page_leads_to_a_file_of_the_folder(report, text):
    links = [link for link in re.findall(r'(?:href|src)="([^"]*)"', text) if not link.startswith(("#", "data:"))]
    assert len(links) > 10
    for link in links:
        assert (report / link).is_file(), link


def test_every_picture_of_every_run_is_there_byte_for_byte(experiment, report):
    for arm in experiment.arms:
        samples = find_samples(arm.run.samples_dir)
        copies = find_samples(report / "pictures" / arm.run.name)
        assert list(copies) == list(samples)
        assert all(copies[spot].read_bytes() == path.read_bytes() for spot, path in samples.items())


def test_the_page_asks_nobody_else(text):
    assert "default-src 'none'" in text
    assert not re.search(r'(?:href|src|url\()\s*=?["\']?(?:https?:)?//', text)


def test_settings_costs_alarms_votes_and_method_are_on_the_page(experiment, text):
    shown = html.unescape(text)
    assert "Longest rollout K" in shown
    assert "Forwards without gradient" in shown
    assert f"{experiment.arms[1].run.name}: V at step 30 is 9 % below teacher forcing." in shown
    assert "Rollout: 1, Teacher-forced: 0" in shown
    assert "exact sign-flip test" in shown


def test_plots_are_there_light_and_dark_as_svg_and_png(report):
    names = {path.name for path in (report / "plots").iterdir()}
    assert {"loss.svg", "loss.png", "loss-dark.svg", "loss-dark.png"} <= names
    with Image.open(report / "plots" / "loss.png") as light, Image.open(report / "plots" / "loss-dark.png") as dark:
        assert light.convert("L").getpixel((1, 1)) > 200 > 60 > dark.convert("L").getpixel((1, 1))


def test_a_plot_without_records_is_left_out(report):
    assert not (report / "plots" / "posterior_entropy.svg").exists()


def test_the_numbers_are_those_of_the_judgement(experiment, report):
    judged = judge_experiment(experiment)
    rows = list(csv.DictReader((report / "data" / "scores.csv").open()))
    shown = {row["run"]: float(row["value"]) for row in rows if row["score"] == "v_end"}
    assert shown == {run.run.name: run.values["v_end"] for run in judged.runs}
    facts = json.loads((report / "data" / "judgement.json").read_text())
    assert facts["verdict"]["sentence"] == judged.judgement.verdict.sentence
    primary = next(csv.DictReader((report / "data" / "comparisons.csv").open()))
    assert float(primary["mean"]) == judged.judgement.comparisons[0].mean
    assert (primary["p"], primary["low"]) == ("", "")


def test_the_sheet_has_a_row_an_arm(report):
    with Image.open(report / "sheet.png") as sheet:
        assert sheet.height > 2 * 128


@pytest.mark.usefixtures("few_plots")
def test_an_earlier_report_is_replaced_and_nothing_is_left_beside_it(experiment, tmp_path):
    out = export_report(experiment, tmp_path / "report")
    (out / "old.txt").write_text("old")
    export_report(experiment, out)
    assert not (out / "old.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("name", ["note.txt", "report.json"])
def test_a_folder_that_is_no_report_is_left_alone(experiment, tmp_path, name):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / name).write_text('{"kind": "mine"}')
    with pytest.raises(RunError, match="must be a new folder or an earlier report"):
        export_report(experiment, out)
    assert [path.name for path in out.iterdir()] == [name]


@pytest.mark.usefixtures("few_plots")
def test_a_report_that_cannot_be_written_leaves_the_old_one(experiment, tmp_path, monkeypatch):
    out = export_report(experiment, tmp_path / "report")
    before = (out / "index.html").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("core.report.export.draw_plots", full)
    with pytest.raises(RunError, match="free some space"):
        export_report(experiment, out)
    assert (out / "index.html").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.usefixtures("few_plots")
def test_an_experiment_in_progress_has_a_report_that_says_what_is_missing(tmp_path):
    experiment = make_experiment(Workspace(tmp_path / "workspace"))
    late = experiment.arms[1].run
    for path in [late.drift_path, late.metrics_path, *find_samples(late.samples_dir).values()]:
        path.unlink()
    first = next(iter(find_samples(experiment.arms[0].run.samples_dir).values()))
    first.write_bytes(first.read_bytes()[:60])
    out = export_report(experiment, tmp_path / "report")
    shown = html.unescape((out / "index.html").read_text(encoding="utf-8"))
    assert "Nothing to judge yet" in shown
    assert "not measured" in shown
    assert late.name in shown


def test_an_experiment_without_arms_is_refused(tmp_path):
    with pytest.raises(RunError, match="must be an experiment with arms"):
        export_report(Experiment(tmp_path / "nothing"), tmp_path / "report")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/me/runs/rollout must be writable", "rollout must be writable"),
        ("got an error at '/a/b/c.json'; move it", "got an error at 'c.json'; move it"),
        (r"C:\Users\me\cat.png is torn", "cat.png is torn"),
        ("3 s/it, 1/2, and/or, assets/base", "3 s/it, 1/2, and/or, assets/base"),
    ],
)
def test_paths_are_cut_to_their_last_part(text, left):
    assert portable(text) == left
