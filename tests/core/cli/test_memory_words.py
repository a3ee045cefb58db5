"""What a command says of memory before a training, where it was measured and may not fit."""

from dataclasses import fields

import pytest
from typer.testing import CliRunner

from core.__main__ import app
from core.config.presets import load_preset
from core.rollout.cost import Calibration
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.memory import Memory


@pytest.mark.parametrize("command", ["train", "ab"])
def test_a_training_that_may_not_fit_is_warned_of(command, tmp_path, monkeypatch):
    monkeypatch.setattr("core.runs.queue_runner.ensure_runner", lambda workspace: False)  # nothing is to be trained

    def said():
        result = CliRunner().invoke(app, [command, "demo", "--queue", "--workspace", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return [line for line in result.output.splitlines() if line.startswith("warning: ")]

    assert said() == []
    memory = Memory(**{each.name: 2**30 for each in fields(Memory)})
    for free, count in ((2**50, 0), (2**30, 1)):
        measured = Measurement(Facts("epsilon", 999, (0.0,)), Calibration.by_items(), "cuda", 1.0, memory, free)
        keep_measurement(tmp_path, load_preset("demo").config, measured)
        assert len(said()) == count
