"""The guard, asked directly and through a small application behind it."""

import asyncio

import pytest

from app.guard import LOCAL_HOSTS, MAX_BODY, Guard, refusal

HOST = {"host": "127.0.0.1:7860"}


def verdict(path="/", method="GET", hosts=LOCAL_HOSTS, **headers):
    found = refusal(path, method, HOST | {name.replace("_", "-"): value for name, value in headers.items()}, hosts)
    return None if found is None else found[0]


def test_an_ordinary_visit_and_an_event_of_the_page_pass():
    assert verdict() is None
    assert (
        verdict("/gradio_api/queue/join", "POST", origin="http://127.0.0.1:7860", sec_fetch_site="same-origin") is None
    )


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:7860", "", "[broken"])
def test_other_host_names_are_refused(host):
    assert verdict(host=host) == 421


@pytest.mark.parametrize("host", ["localhost:7860", "127.0.0.1:9", "[::1]:7860"])
def test_names_of_this_machine_pass(host):
    assert verdict(host=host) is None


def test_a_configured_host_passes_and_any_host_when_there_is_no_list():
    assert verdict(host="box.lan", hosts=LOCAL_HOSTS | {"box.lan"}) is None
    assert verdict(host="box.lan", hosts=None) is None


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3000", "http://127.0.0.1:7861", "null"])
def test_foreign_origins_are_refused_even_from_this_machine(origin):
    assert verdict("/gradio_api/upload", "POST", origin=origin) == 403


def test_cross_site_requests_are_refused_but_a_followed_link_is_not():
    assert verdict("/gradio_api/component_server", "POST", sec_fetch_site="cross-site") == 403
    assert verdict("/gradio_api/upload", "POST", sec_fetch_site="same-site") == 403
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}
    assert verdict(**link) is None
    assert verdict(method="POST", **link) == 403
    assert verdict(**(link | {"sec_fetch_dest": "iframe"})) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://169.254.169.254/",
        "/gradio_api/file=https%3A%2F%2Fevil.example/x.png",
        "/gradio_api/file/http://evil.example",
        "/behind-a-proxy/gradio_api/file=HTTP://evil.example",
        "/gradio_api/proxy=https://evil.example",
    ],
)
def test_fetching_through_the_server_is_refused(path):
    assert verdict(path) == 403


def test_local_files_are_not_refused():
    assert verdict("/gradio_api/file=/workspace/runs/demo/samples/step-000000/p00-s42.png") is None


@pytest.mark.parametrize("length", [str(MAX_BODY + 1), "-1", "many"])
def test_requests_that_are_too_long_or_lie_about_it_are_refused(length):
    assert verdict("/gradio_api/upload", "POST", content_length=length) == 413


def ask(path, headers=(), hosts=LOCAL_HOSTS):
    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"hello"})

    sent = []

    async def send(message):
        sent.append(message)

    async def receive():
        return {"type": "http.request"}

    scope = {"type": "http", "path": path, "method": "GET", "headers": [(b"host", b"localhost"), *headers]}
    asyncio.run(Guard(inner, hosts)(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[-1]["body"]


def test_answers_carry_the_policy_and_files_a_stricter_one():
    status, headers, body = ask("/")
    assert (status, body) == (200, b"hello")
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert headers[b"x-frame-options"] == b"DENY"
    _, headers, _ = ask("/gradio_api/file=/a.svg")
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")


def test_a_refused_request_never_reaches_the_application():
    status, _, body = ask("/", [(b"origin", b"http://evil.example")])
    assert status == 403
    assert b"hello" not in body
