"""What the load bench makes of steps, and of what a page tells of itself."""

import pytest

from core.bench.load import slowdown
from core.bench.tabs import Looked, Recording, together
from core.runs.records import StepRecord


def steps(*taken):
    return [StepRecord(step=1, loss=1.0, lr=1.0, grad_norm=1.0, rollout_calls=calls, seconds=s) for calls, s in taken]


def test_only_steps_of_as_many_model_calls_are_compared():
    alone = steps((0, 1.0), (0, 3.0), (2, 10.0))
    assert slowdown(alone, steps((0, 2.0), (2, 10.0), (2, 10.0))) == pytest.approx(0.0)
    assert slowdown(alone, steps((2, 12.0), (5, 99.0))) == pytest.approx(0.2)
    assert slowdown(alone, steps((0, 1.0))) == pytest.approx(-0.5)
    with pytest.raises(ValueError, match="in common"):
        slowdown(alone, steps((7, 1.0)))


def test_a_recording_is_the_timers_event_with_the_values_of_an_open_monitor_tab():
    def part(number, kind, **props):
        return {"id": number, "type": kind, "props": props}

    config = {
        "components": [
            part(1, "textbox", label="view", value=""), part(2, "textbox", label="seen", value=""),
            part(3, "textbox", label="selection", value=""), part(4, "radio", label="Curves over", value="steps"),
            part(5, "timer"), part(6, "html"),
        ],
        "dependencies": [
            {"id": 7, "targets": [[5, "other"]], "inputs": [], "outputs": []},
            {"id": 8, "targets": [[9, "change"], [5, "tick"]], "inputs": [1, 2, 3, 4], "outputs": [6, 2]},
        ],
    }  # fmt: skip
    found = Recording.of(config, "runs/a")
    assert (found.function, found.trigger, found.outputs) == (8, 5, (6, 2))
    assert [found.values[number] for number in found.inputs] == ["monitor", "", "runs/a", "steps"]
    with pytest.raises(LookupError, match="timer"):
        Recording.of({**config, "dependencies": []}, "runs/a")


def test_a_drawing_that_several_tabs_received_counts_once():
    one = Looked(answers=[0.1], errors=["status 500"], bytes=3, drawings={1: {11, 12}})
    other = Looked(answers=[0.2, 0.3], bytes=4, pictures=1, drawings={1: {12}, 2: {21}})
    assert together([one, other], 0.5) == Looked([0.1, 0.2, 0.3], ["status 500"], 7, 1, {1: {11, 12}, 2: {21}}, 0.5)
