"""A look of the timer is light: what has not changed costs nothing, and everything is read once."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest
from gradio.state_holder import SessionState

from app.blocks import Page
from app.shared import once, one_look
from app.tabs import monitor
from core.plots import PLOTS
from tests.support.fabricated import finish, look_at, write_probe, write_steps

PLOTS_SHOWN = (*monitor.FIRST_PLOTS, *monitor.STEP_PLOTS, *monitor.MORE_PLOTS)
SKIPPED = {"__type__": "update"}
SKIPPED_BY_GRADIO = (SKIPPED, {**SKIPPED, "props": SKIPPED})
ANSWERS = {
    "nothing changed": lambda: gr.skip(),
    "all skipped one by one": lambda: [gr.skip(), gr.skip(), gr.skip()],
    "one text": lambda: [gr.skip(), "new", gr.skip()],
    "one update": lambda: [gr.skip(), gr.skip(), gr.Dropdown(choices=["c", "d"], value="d")],
    "a value and an update": lambda: ["<p>new</p>", gr.skip(), gr.update(choices=["c"], value=None)],
    "everything": lambda: ["<p>new</p>", "new", gr.Dropdown(choices=[("C", "c")], value="c", visible=False)],
}


def alone(work):
    """What a coroutine gives, whatever loop a browser of another test keeps in this thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result(60)


def made(kind: type[gr.Blocks]):
    """A page of three parts, and the event that fills them."""
    with kind(analytics_enabled=False) as page:
        parts = [gr.HTML("old"), gr.Textbox("old"), gr.Dropdown(["a", "b"], value="a")]
        page.load(lambda: None, None, parts)
    return page, next(iter(page.fns.values()))


def answered(kind: type[gr.Blocks], answer):
    """What the browser is sent, and the choices that the server takes from it afterwards."""
    page, event = made(kind)
    state = SessionState(page)
    sent = alone(page.postprocess_data(event, answer, state))
    return sent, state[event.outputs[2]._id].choices


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_what_it_means_to_gradio(name):
    sent, choices = answered(Page, ANSWERS[name]())
    expected, expected_choices = answered(gr.Blocks, ANSWERS[name]())
    assert sent == [SKIPPED if value in SKIPPED_BY_GRADIO else value for value in expected]
    assert choices == expected_choices


def test_an_event_with_one_output_and_a_wrong_number_of_values_are_left_to_gradio():
    with Page(analytics_enabled=False) as page:
        page.load(lambda: None, None, gr.Textbox("old"))
    event = next(iter(page.fns.values()))
    assert alone(page.postprocess_data(event, "new", SessionState(page))) == ["new"]
    page, event = made(Page)
    with pytest.raises(ValueError, match="return enough output values"):
        alone(page.postprocess_data(event, ["one"], SessionState(page)))


def test_a_part_that_is_skipped_is_not_made_anew():
    page, event = made(Page)
    state = SessionState(page)
    alone(page.postprocess_data(event, [gr.skip(), gr.skip(), gr.Dropdown(choices=["c"])], state))
    html, text, dropdown = event.outputs
    assert state[html._id] is html
    assert state[text._id] is text
    assert state[dropdown._id] is not dropdown


def test_every_page_is_sent_what_several_parts_take_only_once(page):
    ticks = [event for event in page.fns.values() if any(name == "tick" for _, name in event.targets)]
    assert len(ticks) == 1
    inputs = [component._id for component in ticks[0].inputs]
    assert len(set(inputs)) == len(inputs)


def test_the_timer_gives_each_part_its_own_inputs(page, parts, experiment):
    event = next(event for event in page.fns.values() if any(name == "tick" for _, name in event.targets))
    held = {parts["view"]._id: "monitor", parts["selection"]._id: "experiments/orange-cat"}
    values = [held.get(component._id, component.value) for component in event.inputs]
    answer = dict(zip((component._id for component in event.outputs), event.fn(*values), strict=True))
    shown, _ = look_at(parts, "monitor", selection="experiments/orange-cat")
    assert answer[parts["monitor.status"]._id] == shown["monitor.status"]
    assert "rollout" in answer[parts["monitor.loss"]._id]


def test_within_one_look_a_run_is_read_once_and_the_next_look_sees_its_change(workbench, experiment):
    with one_look():
        first = workbench.entry("experiments/orange-cat")
        finish(experiment.arms[1].run, "failed", error="out of memory")
        assert workbench.entry("experiments/orange-cat") is first
    with one_look():
        assert workbench.entry("experiments/orange-cat").arms[1].state.label == "failed"


def test_outside_of_a_look_everything_is_read_anew(workbench, experiment):
    assert workbench.entry("experiments/orange-cat") is not workbench.entry("experiments/orange-cat")


def test_looks_of_several_threads_know_nothing_of_each_other():
    counted, gate = [], threading.Barrier(4)

    def look() -> None:
        with one_look():
            gate.wait(60)
            once("same", lambda: counted.append(threading.get_ident()))
            once("same", lambda: counted.append(threading.get_ident()))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(counted) == len(set(counted)) == 4


def test_what_cannot_be_read_is_not_kept():
    def gone():
        raise OSError("gone")

    with one_look():
        with pytest.raises(OSError, match="gone"):
            once("file", gone)
        assert once("file", lambda: "there again") == "there again"


def test_a_page_with_nothing_chosen_draws_its_empty_charts_once(parts):
    for _ in range(3):
        look_at(parts, "monitor")
    assert parts.workbench.charts.drawings == len(PLOTS_SHOWN)


def test_what_lies_in_a_closed_fold_is_neither_drawn_nor_sent(parts, experiment):
    chosen = {"selection": "experiments/orange-cat"}
    shown, seen = look_at(parts, "monitor", opened=(), **chosen)
    folded = {f"monitor.{name}" for name in monitor.MORE_PLOTS}
    assert not {*folded, "monitor.log"} & shown.keys()
    assert parts.workbench.charts.drawings == len(monitor.FIRST_PLOTS) + len(monitor.STEP_PLOTS) + 1
    shown, seen = look_at(parts, "monitor", seen, opened=[monitor.MORE_FOLD], **chosen)
    assert shown.keys() == folded
    shown, seen = look_at(parts, "monitor", seen, opened=[monitor.LOG_FOLD], **chosen)
    assert "hello from rollout" in shown["monitor.log"]
    assert look_at(parts, "monitor", seen, **chosen) == ({}, seen)


def test_many_pages_on_one_run_draw_each_chart_once_per_change(parts, experiment):
    drift, steps = (
        [name for name in PLOTS_SHOWN if (PLOTS[name].records == "drift") == is_drift] for is_drift in (True, False)
    )
    expected = [len(drift) + len(steps) + 1, len(steps) + 1, len(drift), 0]  # the live plots are drawn together
    changes = [
        lambda: write_steps(experiment.arms[1].run, 1, first=31, rolled=3),
        lambda: write_probe(experiment.arms[1].run, 31, -0.1),
        lambda: None,
        lambda: None,
    ]
    for drawn, change in zip(expected, changes, strict=True):
        before = parts.workbench.charts.drawings
        for _ in range(5):
            look_at(parts, "monitor", selection="experiments/orange-cat")
        assert parts.workbench.charts.drawings - before == drawn
        change()
