"""``python -m core report``."""

import json
from pathlib import Path

import pytest

from core.__main__ import _guarded, app
from core.report.judged import judge_experiment
from core.report.words import verdict_lines


@pytest.fixture
def typed(capsys, workspace, experiment):
    """``typed(…)``: exit status, lines said, lines complained."""

    def command(*words):
        try:
            code = _guarded(lambda: app(["report", *words, "--workspace", str(workspace.root)]))
        except SystemExit as exit:
            code = exit.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return command


@pytest.mark.usefixtures("few_plots")
def test_the_verdict_is_said_and_the_report_lies_in_the_workspace(typed, workspace, experiment):
    code, out, _ = typed("orange-cat")
    assert code == 0
    lines = verdict_lines(judge_experiment(experiment).judgement)
    assert out[: len(lines)] == lines
    path = workspace.root / "reports" / "orange-cat" / "index.html"
    assert out[-1] == f"report: {path}"
    assert path.is_file()


@pytest.mark.usefixtures("few_plots")
def test_json_holds_verdict_scores_and_the_place(typed, experiment, tmp_path):
    code, out, _ = typed(str(experiment.path), "--json", "--view", "compute", "--out", str(tmp_path / "mine"))
    assert code == 0
    facts = json.loads(out[0])
    assert facts["judgement"]["verdict"]["sentence"]
    assert len(facts["runs"]) == 6
    assert (Path(facts["report"]) / "index.html").is_file()
    assert "Equal compute" in (tmp_path / "mine" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [("unknown",), ("../escape",), ("orange-cat", "--view", "time")])
def test_bad_input_is_told_in_a_sentence(typed, words):
    code, out, err = typed(*words)
    assert code in (1, 2)
    assert out == []
    assert len(err) == 1
    assert " must be " in err[0]


def test_the_command_has_help(typed):
    code, out, _ = typed("--help")
    assert code == 0
    assert any("--view" in line for line in out)
