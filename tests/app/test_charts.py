"""A chart is drawn once per change and shared by all who look, however many they are and whenever they come."""

import threading
from itertools import pairwise

import pytest

from app.charts import REDRAW_AFTER, Charts
from core.runs.records import StepRecord

DEADLINE = 60
CLIENTS = 20
FEW = {"rollout": [StepRecord(step=step, loss=1.0 / step, lr=1e-3, grad_norm=0.5) for step in range(1, 6)]}


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def charts(clock) -> Charts:
    return Charts(clock)


def begin(work) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def ended(*threads) -> bool:
    for thread in threads:
        thread.join(DEADLINE)
    return not any(thread.is_alive() for thread in threads)


def all_at_once(ask) -> list:
    """What many who ask at the same moment are given."""
    gate, given = threading.Barrier(CLIENTS), []

    def client() -> None:
        gate.wait(DEADLINE)
        given.append(ask())

    assert ended(*[begin(client) for _ in range(CLIENTS)])
    return given


class Slow:
    """Series whose reading begins, then lasts until it is let go."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.go.wait(DEADLINE)
        return FEW


def test_twenty_who_ask_at_once_draw_a_chart_once_per_change(charts):
    for change in range(1, 5):
        given = all_at_once(lambda change=change: charts.show("loss", "runs/a", f"change {change}", lambda: FEW))
        assert len(given) == CLIENTS
        assert len(set(given)) == 1
        assert given[0][1] == f"change {change}"
        assert charts.drawings == change


def test_twenty_who_ask_at_once_draw_a_live_chart_once(charts, clock):
    for change in range(1, 5):
        clock.now += REDRAW_AFTER
        given = all_at_once(lambda change=change: charts.show("loss", "a", f"{change}", lambda: FEW, live=True))
        assert {signature for _, signature in given} <= {f"{change - 1}", f"{change}"}
        assert charts.drawings == change


def test_a_live_chart_is_drawn_at_most_every_five_seconds_and_never_shown_older(charts, clock):
    assert REDRAW_AFTER == 5.0
    times = []
    for poll in range(240):
        before = charts.drawings
        _, shown = charts.show("loss", "runs/a", f"{clock.now}", lambda: FEW, live=True)
        if charts.drawings > before:
            times.append(clock.now)
        assert clock.now - float(shown) < REDRAW_AFTER
        clock.now += 0.25 if poll % 3 else 0.0
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) > 5
    assert min(gaps) >= REDRAW_AFTER


def test_a_live_chart_without_a_change_is_not_drawn_again(charts, clock):
    for _ in range(10):
        charts.show("loss", "runs/a", "same", lambda: FEW, live=True)
        clock.now += 60.0
    assert charts.drawings == 1


def test_the_last_state_is_drawn_at_once(charts):
    charts.show("loss", "runs/a", "under way", lambda: FEW, live=True)
    assert charts.show("loss", "runs/a", "the end", lambda: FEW)[1] == "the end"


def test_while_a_live_chart_is_drawn_the_others_see_the_one_before(charts, clock):
    older = charts.show("loss", "runs/a", "older", lambda: FEW, live=True)
    clock.now += REDRAW_AFTER
    slow = Slow()
    drawer = begin(lambda: charts.show("loss", "runs/a", "newer", slow, live=True))
    assert slow.begun.wait(DEADLINE)
    assert charts.show("loss", "runs/a", "newer still", lambda: FEW, live=True) == older
    slow.go.set()
    assert ended(drawer)
    assert charts.show("loss", "runs/a", "newer", lambda: FEW, live=True)[1] == "newer"
    assert charts.drawings == 2


def test_who_asks_for_the_last_state_waits_for_it_and_gets_nothing_older(charts, clock):
    charts.show("loss", "runs/a", "older", lambda: FEW, live=True)
    clock.now += REDRAW_AFTER
    slow, given = Slow(), []
    drawer = begin(lambda: charts.show("loss", "runs/a", "newer", slow, live=True))
    assert slow.begun.wait(DEADLINE)
    waiter = begin(lambda: given.append(charts.show("loss", "runs/a", "the end", lambda: FEW)))
    slow.go.set()
    assert ended(drawer, waiter)
    assert given[0][1] == "the end"


def test_charts_of_different_runs_do_not_wait_for_each_other(charts):
    slow = Slow()
    drawer = begin(lambda: charts.show("loss", "runs/a", "1", slow))
    assert slow.begun.wait(DEADLINE)
    for name, subject in (("loss", "runs/b"), ("grad_norm", "runs/a")):
        other = begin(lambda name=name, subject=subject: charts.show(name, subject, "1", lambda: FEW))
        assert ended(other)
    assert not slow.go.is_set()
    slow.go.set()
    assert ended(drawer)
    assert charts.drawings == 3


@pytest.mark.parametrize("live", [False, True])
def test_a_failed_drawing_is_seen_and_the_next_who_asks_draws(charts, clock, live):
    def broken():
        raise RuntimeError("cannot be drawn")

    for signature in ("first", "second"):
        clock.now += REDRAW_AFTER
        with pytest.raises(RuntimeError, match="cannot be drawn"):
            charts.show("loss", "runs/a", signature, broken, live=live)
        given = []
        asker = begin(
            lambda signature=signature, given=given: given.append(
                charts.show("loss", "runs/a", signature, lambda: FEW, live=live)
            )
        )
        assert ended(asker)
        assert given[0][1] == signature


def test_who_waited_for_a_drawing_that_failed_draws_it(charts):
    slow, seen, given = Slow(), [], []

    def fails():
        slow()
        raise RuntimeError("cannot be drawn")

    def first() -> None:
        try:
            charts.show("loss", "runs/a", "1", fails)
        except RuntimeError as error:
            seen.append(str(error))

    drawer = begin(first)
    assert slow.begun.wait(DEADLINE)
    waiter = begin(lambda: given.append(charts.show("loss", "runs/a", "1", lambda: FEW)))
    slow.go.set()
    assert ended(drawer, waiter)
    assert seen == ["cannot be drawn"]
    assert given[0][1] == "1"
