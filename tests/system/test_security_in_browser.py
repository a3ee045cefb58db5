"""The page's defences in a real browser: they stop others, and never the page itself."""

import pytest
from playwright.sync_api import expect

from tests.support.raw_http import LoggedIn
from tests.support.served import Served, Watched

pytestmark = [pytest.mark.browser, pytest.mark.faults]
PATIENCE = 60_000
WELCOME = "What does rollout change?"


def test_a_page_whose_server_was_started_anew_unnoticed_loads_itself_again(chromium, tmp_path):
    """The page asks nothing while the server is away, so that only the new one's refusal can tell it."""
    served = Served(tmp_path / "workspace").wait()
    try:
        watched = Watched(chromium)
        page = watched.page
        page.goto(served.url)
        expect(page.get_by_role("heading", name=WELCOME)).to_be_visible(timeout=PATIENCE)
        held, stale = [], []
        page.evaluate("window.isOld = true")
        page.route("**/gradio_api/**", lambda request: held.append(request))
        page.wait_for_timeout(3000)
        served.stop()
        served.start().wait()
        page.on("response", lambda answer: stale.append(answer.url) if answer.status == 403 else None)
        for request in list(held):
            request.continue_()
        page.unroute("**/gradio_api/**")
        page.wait_for_function("window.isOld === undefined", timeout=PATIENCE)
        expect(page.get_by_role("heading", name=WELCOME)).to_be_visible(timeout=PATIENCE)
        page.get_by_role("tab", name="Launch", exact=True).click()
        expect(page.locator("#preflight")).to_contain_text("Workspace", timeout=PATIENCE)
        assert stale
        watched.context.close()
        watched.check(served)
    finally:
        served.stop()


def test_a_login_opens_the_page_and_a_wrong_one_does_not(chromium, tmp_path):
    served = Served(tmp_path / "workspace", None, "--auth", "me:secret").wait()
    try:
        watched = Watched(chromium)
        page = watched.page
        page.goto(served.url)
        page.get_by_label("username").fill("me")
        page.get_by_label("password").fill("wrong")
        page.get_by_role("button", name="Login").click()
        expect(page.get_by_text("Incorrect Credentials")).to_be_visible(timeout=PATIENCE)
        page.get_by_label("username").fill("me")  # the form has forgotten both
        page.get_by_label("password").fill("secret")
        page.get_by_role("button", name="Login").click()
        expect(page.get_by_role("heading", name=WELCOME)).to_be_visible(timeout=PATIENCE)
        page.get_by_role("tab", name="Launch", exact=True).click()
        expect(page.locator("#preflight")).to_contain_text("Workspace", timeout=PATIENCE)
        watched.context.close()
        watched.check(served)
        assert LoggedIn(served.port, "me", "secret").handlers
    finally:
        served.stop()
