"""What somebody chose from a list is gone by the time the page hears of it: over real HTTP, for every list there is."""

import shutil
from pathlib import Path

import pytest

from tests.support.everything import make_everything
from tests.support.pages import ServedPage

LISTS = ("dropdown", "radio", "checkboxgroup")
GONE = "runs/gone"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A page over a workspace with one of everything."""
    folder = tmp_path_factory.mktemp("choices")
    workspace = make_everything(folder / "workspace")
    served = ServedPage(workspace.root, folder / "page.log").wait()
    yield served, workspace
    served.end()


def test_every_list_takes_a_value_that_is_gone(place) -> None:
    """Every event that takes the value of a list, the timer's among them, is sent one that the list never held."""
    served, _ = place
    asked = set()
    visitor = served.visit()
    visitor.look("home")
    for event in visitor.events:
        lists = [number for number in event["inputs"] if visitor.parts[number]["type"] in LISTS]
        if not lists or not event.get("backend_fn", True):
            continue
        before = dict(visitor.values)
        for number in lists:
            several = isinstance(visitor.values[number], list)
            visitor.values[number] = [GONE] if several else GONE
            asked.add(visitor.parts[number]["props"]["elem_id"])
        visitor.values[visitor.names["view"]] = "compare"
        toasts = visitor.run(event, event["targets"][0][0])
        assert not any(text in ("error: None", "error: ") for text in toasts), (event["targets"], toasts)
        visitor.values = before
    assert {"pick-compare", "pick-run", "inspect-shown", "inspect-run", "preset", "compare-view"} <= asked
    assert "Traceback" not in served.log.read_text()


def test_a_run_that_was_deleted_by_hand_vanishes_from_an_open_comparison(place) -> None:
    served, workspace = place
    visitor = served.visit()
    chosen = ["runs/failed", "runs/healthy"]
    visitor.look("compare", **{"pick-compare": chosen})
    shutil.rmtree(workspace.runs_dir / "failed")
    visitor.look("compare")
    assert visitor["pick-compare"] == ["runs/healthy"]
    visitor.look("compare", **{"pick-compare": chosen})  # a browser that had not heard of it yet
    assert visitor["pick-compare"] == ["runs/healthy"]
    assert "No verdict: one training alone" in visitor["verdict"]


@pytest.mark.faults
def test_a_tab_stays_usable_when_its_page_is_started_again(place, tmp_path: Path) -> None:
    """The new page has sent no list yet: what the open tab holds from the old one must do."""
    served, workspace = place
    visitor = served.visit()
    visitor.look("compare", **{"pick-compare": ["experiments/orange-cat"]})
    verdict = visitor["verdict"]
    again = ServedPage(workspace.root, tmp_path / "again.log").wait()
    try:
        fresh = again.visit()
        visitor.port, visitor.cookie = again.port, fresh.cookie
        visitor.look("compare")
        assert visitor["pick-compare"] == ["experiments/orange-cat"]
        assert visitor["verdict"] == verdict
        visitor.press("pick-run", "input", **{"pick-run": "runs/healthy"})
        assert visitor["selection"] == "runs/healthy"
    finally:
        again.end()
