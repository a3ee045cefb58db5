"""What a finished run scores: everything that the table shows, the same twice, and by its adapter."""

import json
import math

from assets.results.matrix import ASKED_FOR
from assets.results.measure import measure, training_facts
from assets.results.table import COLUMNS
from core.runs.files import to_json


def test_a_finished_run_is_measured_alike_twice(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("assets.results.measure.SAMPLES", 3)
    folder = trained(scheduled_sampling_max_step_offset=2, scheduled_sampling_probability=1.0)
    first, second = (measure(folder, tmp_path / name) for name in ("a", "b"))
    facts = training_facts(folder)
    assert first.pop("seconds") > 0
    second.pop("seconds")
    assert json.loads(to_json(first)) == json.loads(to_json(second))
    numbers = [first[name] for name in ("v", "high", "nn", "diversity", "g2", "border")]
    assert all(math.isfinite(number) for number in numbers)
    assert len(first["bands"]) == 6
    assert sorted(path.stem for path in (tmp_path / "a").iterdir()) == sorted(
        [*(f"instance-{index}" for index in range(3)), *ASKED_FOR]
    )
    assert facts["rollout_forwards_per_item"] > 0
    assert facts["seconds"] > 0
    found = {"scores": first, "training": facts}
    assert all(isinstance(column.value(found, found), float) for column in COLUMNS)


def test_the_scores_are_those_of_the_adapter(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("assets.results.measure.SAMPLES", 2)
    short, long = (measure(trained(max_train_steps=steps), tmp_path / str(steps)) for steps in (1, 3))
    for name in ("v", "g2", "nn", "border"):
        assert short[name] != long[name]
