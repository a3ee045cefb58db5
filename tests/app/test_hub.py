"""The hub is asked beside the handlers: once for a model, anew when the answer is old, and never by too many."""

import threading

from app.hub import AT_ONCE, FRESH, Hub, Model
from core.errors import DataError, Problem

MODEL = Model("somebody/model", None, "fp16")


def test_a_slow_answer_is_there_later_and_was_asked_for_once():
    asked, released = [], threading.Event()

    def ask(*model):
        asked.append(model)
        released.wait()
        return "answer"

    hub = Hub(ask)
    assert hub.missing(MODEL, patience=0) is None
    assert hub.missing(MODEL, patience=0) is None
    released.set()
    assert hub.missing(MODEL, patience=60) == "answer"
    assert asked == [MODEL]


def test_an_old_answer_is_asked_for_anew():
    now, asked = [0.0], []
    hub = Hub(lambda *model: asked.append(model) or len(asked), clock=lambda: now[0])
    assert hub.missing(MODEL, patience=60) == hub.missing(MODEL, patience=60) == 1
    now[0] = FRESH
    assert hub.missing(MODEL, patience=60) == 2
    assert hub.missing(MODEL._replace(variant=None), patience=60) == 3


def test_a_refusal_is_an_answer():
    error = DataError([Problem("x", "no")])

    def ask(*_model):
        raise error

    assert Hub(ask).missing(MODEL, patience=60) is error


def test_many_names_do_not_make_many_questions():
    asked, released = [], threading.Event()
    hub = Hub(lambda *model: asked.append(model) or released.wait())
    found = [hub.missing(MODEL._replace(name=f"somebody/{number}"), patience=0) for number in range(3 * AT_ONCE)]
    released.set()
    assert found == [None] * len(found)
    assert len(asked) <= AT_ONCE
