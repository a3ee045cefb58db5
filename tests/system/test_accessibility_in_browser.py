"""No tab and no report breaks the rules of axe: empty or full, light or dark, wide or narrow, every fold open."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from core.config.presets import load_preset
from core.plots import PLOTS
from core.report.export import export_report
from core.runs.workspace import Workspace
from tests.support.browsing import TITLES, endless, open_folds, open_tab, wait_filled
from tests.support.exports import exported, give_adapter
from tests.support.fabricated import changed, finish, make_experiment
from tests.support.inspections import inspected
from tests.support.served import Served, Watched

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
GRADIOS_OWN: dict[str, str] = {}
"""Rule to selector: what is left of Gradio's, none of it serious; nothing at present."""
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
SELECTED = [("full", "light", WIDE)]
"""The others are for the long form; there the scheme is the browser's own, and not switched on the open page."""
VIEWS = [(held, scheme, size) for held in ("full", "empty") for scheme in ("light", "dark") for size in (WIDE, NARROW)]


def violations(page, rules: list[str] = RULES) -> list[str]:
    """What axe finds, in words."""
    found = Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]}).response["violations"]
    return [
        f"{one['impact']} {one['id']} at {node['target']}: {node['html'][:200]}"
        for one in found for node in one["nodes"]
        if one["impact"] in {"serious", "critical"} or GRADIOS_OWN.get(one["id"]) != node["target"][-1]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def experiment(served):
    """All that a tab can show: a comparison, a failed arm, an inspection, and a training that runs."""
    workspace = Workspace(served.workspace)
    workspace.check_writable()
    config = changed(load_preset("demo").config, max_train_steps=30)
    broken = make_experiment(workspace, "Broken", config)
    finish(broken.arms[1].run, "failed", 12, error="the loss is not finite at step 12", hint="lower learning_rate")
    finish(broken.folder, "failed", error="1 of 2 arms did not end well")
    made = make_experiment(workspace, config=config, seeds=2)
    inspected(workspace, made.arms[1].run)
    give_adapter(made.arms[1].run)
    exported(workspace, made.arms[1].run, "diffusers")
    with endless(workspace):
        served.wait()
        yield made


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server over an empty workspace."""
    made = Served(tmp_path_factory.mktemp("bare") / "workspace")
    yield made.wait()
    made.stop()


@pytest.fixture
def opened(request, chromium, experiment, served):
    """The page in a scheme and size, over one of the two workspaces."""
    held, scheme, size = request.param
    server = served if held == "full" else request.getfixturevalue("bare")
    yield from visit(chromium, server, color_scheme=scheme, viewport=size)


def visit(chromium, server, **context):
    """A page whose policy lets axe in, and which is checked at the end like any other."""
    watched = Watched(chromium, bypass_csp=True, reduced_motion="reduce", **context)  # no colour on its way
    watched.page.goto(f"{server.url}?run=experiments/orange-cat")
    yield watched.page
    watched.context.close()
    watched.check(server)


def look_through(page) -> list[str]:
    found = []
    for title in TITLES:
        open_tab(page, title)
        wait_filled(page, title)
        open_folds(page, title)
        if title == "Configure":
            page.locator("#opt-rank input").fill("0")
            expect(page.locator("#problems [role=alert]")).to_be_visible()
        page.wait_for_timeout(300)
        found += [f"{title}: {line}" for line in violations(page)]
        page.evaluate("() => document.body.classList.toggle('dark')")  # only colours differ
        found += [f"{title}, other scheme: {line}" for line in violations(page, ["color-contrast"])]
        page.evaluate("() => document.body.classList.toggle('dark')")
    return found


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(
            view, marks=() if view in SELECTED else pytest.mark.faults, id=f"{view[0]}-{view[1]}-{view[2]['width']}"
        )
        for view in VIEWS
    ],
    indirect=True,
)
def test_no_tab_breaks_a_rule_of_accessibility(opened):
    found = look_through(opened)
    assert not found, "\n".join(found)


@pytest.fixture(scope="module")
def report(experiment, tmp_path_factory):
    """The exported report, with a few of its plots."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.report.plots.PLOTS", {name: PLOTS[name] for name in ("loss", "drift_m1", "differences")})
        return export_report(experiment, tmp_path_factory.mktemp("out") / "report")


@pytest.mark.parametrize(
    ("scheme", "size"), [("dark", NARROW), pytest.param("light", WIDE, marks=pytest.mark.faults)], ids=["dark", "light"]
)
def test_the_report_and_its_viewer_break_no_rule_of_accessibility(report, chromium, scheme, size):
    context = chromium.new_context(bypass_csp=True, color_scheme=scheme, viewport=size)
    page = context.new_page()
    page.goto((report / "index.html").as_uri())
    viewer, found = page.locator("rollout-viewer"), []
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for mode in ("Slider", "Side by side", "Flicker", "Difference"):
        viewer.get_by_role("button", name=mode, exact=True).click()
        found += [f"{mode}: {line}" for line in violations(page)]
    assert not found, "\n".join(found)
    context.close()
