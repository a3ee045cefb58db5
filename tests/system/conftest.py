"""A browser for the session, a page server for each file, a fresh browser profile for each test."""

import os
import shutil

import pytest
from playwright.sync_api import expect, sync_playwright

from core.runs.workspace import Workspace
from tests.support.fabricated import make_experiment
from tests.support.inspections import inspected
from tests.support.reports import reader, report
from tests.support.served import BROWSERS, FLAGS, Served, Watched

__all__ = ["reader", "report"]


@pytest.fixture(autouse=True)
def patience():
    """Where the machine is busy, what takes a second may take many."""
    expect.set_options(timeout=60_000)


@pytest.fixture(scope="session")
def chromium():
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("a browser must be installed where CI is set, got none of " + ", ".join(BROWSERS))
        pytest.skip("no browser: install chromium to run the browser tests")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server for the tests of a file."""
    made = Served(tmp_path_factory.mktemp("page") / "workspace")
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def besieged(tmp_path_factory):
    """One server for all attacks, with trainings to be after."""
    made = Served(tmp_path_factory.mktemp("besieged") / "workspace")
    try:
        workspace = Workspace(made.workspace)
        workspace.check_writable()
        make_experiment(workspace)
        inspected(workspace)
        yield made.wait()
    finally:
        made.stop()


@pytest.fixture
def watched(chromium, served):
    """A fresh browser profile; what it did is checked at the end."""
    made = Watched(chromium)
    yield made
    made.context.close()
    made.check(served)
