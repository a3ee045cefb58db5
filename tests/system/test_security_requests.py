"""Attacks on the addresses of the page: closed routes, foreign names, other sites, and programs that never visited."""

import json
import re

import gradio as gr
import pytest
from gradio.routes import App

from tests.support.raw_http import Attacker, ask, multipart, request, send

JOIN, RUN, UPLOAD = "/gradio_api/queue/join", "/gradio_api/run/predict", "/gradio_api/upload"
SENTENCE = {"error"}


@pytest.fixture(scope="module")
def attacker(besieged) -> Attacker:
    return Attacker(besieged.port)


@pytest.fixture(scope="module")
def port(attacker) -> int:
    return attacker.port


@pytest.fixture
def event(attacker) -> bytes:
    """A call that the page's script makes, and that is answered."""
    event = next(event for event in attacker.handlers if not event["queue"])
    call = {"data": attacker.usual(event), "fn_index": event["id"], "session_hash": "abc", "trigger_id": None}
    return json.dumps(call).encode()


def said(answer) -> str:
    """The sentence of a refusal: nothing else is told."""
    told = json.loads(answer.body)
    assert set(told) == SENTENCE
    return told["error"]


def test_the_page_and_its_own_calls_are_answered(attacker, event):
    assert attacker.post(RUN, event).status == 200


NEEDED = {
    "GET /", "HEAD /", "GET /assets/{path:path}", "GET /static/{path:path}", "GET /favicon.ico", "GET /theme.css",
    "GET /gradio_api/app_id", "GET /gradio_api/startup-events", "POST /gradio_api/queue/join",
    "GET /gradio_api/queue/data", "POST /gradio_api/run/{api_name}", "POST /gradio_api/upload",
    "GET /gradio_api/upload_progress", "GET /gradio_api/file={path_or_url:path}",
    "HEAD /gradio_api/file={path_or_url:path}",
}  # fmt: skip
"""All that the page asks for. What a newer Gradio answers beside it must be closed, or be listed here on purpose."""


def gradios_routes() -> set[str]:
    """Everything that Gradio would answer."""
    with gr.Blocks() as page:
        gr.HTML("x")
    waiting, found = list(App.create_app(page).routes), set()
    while waiting:
        route = waiting.pop()
        waiting += getattr(getattr(route, "original_router", None), "routes", [])
        found |= {f"{method} {route.path}" for method in getattr(route, "methods", None) or ()}
    return found


def test_every_route_of_gradio_is_needed_or_closed(attacker):
    known = gradios_routes()
    assert known >= NEEDED
    for route in sorted(known - NEEDED):
        method, _, path = route.partition(" ")
        target = re.sub(r"\{[^}]*\}", "1", path)
        answer = ask(attacker.port, target, method, attacker.headers, b"{}" if method == "POST" else b"")
        assert answer.status == 404, route
        assert method == "HEAD" or said(answer) == "there is nothing here", route


CLOSED = [
    "/config", "/config/", "/openapi.json", "/docs", "/redoc", "/monitoring", "/monitoring/summary", "/monitoring/x",
    "/manifest.json", "/robots.txt", "/pwa_icon", "/pwa_icon/9999999", "/login", "/logout",
    "/login/callback/huggingface", "/login/huggingface", "/gradio_api/deep_link?session_hash=a", "/gradio_api/info",
    "/gradio_api/info?all_endpoints=true", "/gradio_api/openapi.json", "/gradio_api/user", "/gradio_api/token",
    "/gradio_api/login_check", "/gradio_api/runs", "/gradio_api/dev/reload", "/gradio_api/heartbeat/abc",
    "/gradio_api/queue/status", "/gradio_api/theme.css", "/gradio_api/stream/a/b/1/playlist.m3u8",
    "/gradio_api/stream/a/b/1/playlist-file", "/gradio_api/stream/a/b/1/2.aac",
    "/gradio_api/custom_component/x/client/component/index.js", "/gradio_api/call/start/abc", "/gradio_api/call/v2/a/b",
    "/gradio_api/vibe-code", "/gradio_api/mcp", "/gradio_api/mcp/", "/gradio_api/mcp/sse", "/gradio_api/mcp/schema",
    "/gradio_api/profiling/traces", "/gradio_api/run-history/records", "/gradio_api/component_server",
    "/svelte/index.js", "/gradio_api/", "/gradio_api", "/gradio_api/run/predict", "/gradio_api/queue/join",
    "/%2e%2e/config", "//config", "/config%20", "/CONFIG", "/index.html", "/.git/config", "/gradio_api/startup-events/",
]  # fmt: skip


@pytest.mark.parametrize("target", CLOSED)
def test_what_the_page_does_not_use_is_not_there(attacker, target):
    answer = attacker.get(target)
    assert answer.status == 404
    assert said(answer) == "there is nothing here"


CLOSED_POSTS = [
    "/gradio_api/call/start", "/gradio_api/call/lambda", "/gradio_api/call/v2/start", "/gradio_api/run/start",
    "/gradio_api/run/lambda_1", "/gradio_api/run/predict/", "/gradio_api/api/predict", "/gradio_api/api/start",
    "/gradio_api/component_server", "/gradio_api/component_server/", "/gradio_api/stream/abc",
    "/gradio_api/stream/abc/close", "/gradio_api/reset", "/gradio_api/cancel", "/gradio_api/process_recording",
    "/gradio_api/vibe-edit", "/gradio_api/undo-vibe-edit", "/gradio_api/vibe-code", "/gradio_api/vibe-starter-queries",
    "/gradio_api/mcp", "/gradio_api/run-history/connect", "/gradio_api/profiling/clear", "/login", "/", "/config",
    "/gradio_api/queue/data", "/gradio_api/app_id", "/gradio_api/file=/etc/passwd", "/gradio_api/upload/",
]  # fmt: skip


@pytest.mark.parametrize("target", CLOSED_POSTS)
def test_nothing_else_takes_anything(attacker, event, target):
    assert attacker.post(target, event).status == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_not_there(attacker, method):
    for target in ("/", RUN, UPLOAD, "/gradio_api/file=/etc/passwd"):
        assert ask(attacker.port, target, method, attacker.headers).status in {400, 404}


EVIL = [
    "evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example#127.0.0.1",
    "evil.example/127.0.0.1", "127.0.0.1:{port}@evil.example", "evil.example@127.0.0.1", "127.0.0.1:{port}:80",
    "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:999999", "127.0.0.1,evil.example", "2130706433", "0x7f.1", "127.1",
    "0.0.0.0", "192.168.0.1", "[::ffff:7f00:1]", "[::1", "localhost.", "null", "", "*", "[broken", "a.gradio.live",
]  # fmt: skip


@pytest.mark.parametrize("host", EVIL)
def test_other_names_are_refused(attacker, port, host):
    """DNS rebinding: the browser believes that it asks a page of the other site."""
    name = host.format(port=port)
    for target in ("/", f"{RUN}", "/assets/a.js"):
        raw = request(target, headers=[("Host", name), ("Cookie", attacker.cookie), ("Connection", "close")])
        assert send(port, raw).status in {400, 421}


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.1"])
def test_this_machines_own_names_are_answered(port, host):
    raw = request("/", headers=[("Host", host.format(port=port)), ("Connection", "close")])
    assert send(port, raw).status == 200


@pytest.mark.parametrize(
    "lines",
    [
        [("Host", "127.0.0.1"), ("Host", "evil.example")],
        [("Host", "evil.example"), ("Host", "127.0.0.1")],
        [("Host", "127.0.0.1"), ("X-Forwarded-Host", "evil.example")],
        [("Host", "127.0.0.1"), ("X-Forwarded-Host", "127.0.0.1, evil.example")],
        [("Host", "127.0.0.1"), ("X-Forwarded-Host", "127.0.0.1"), ("X-Forwarded-Host", "evil.example")],
        [("Host", "127.0.0.1"), ("Origin", "http://127.0.0.1"), ("Origin", "http://evil.example")],
        [("Host", "127.0.0.1"), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [],
    ],
    ids=["two hosts", "two hosts, evil first", "forwarded", "forwarded list", "two forwarded", "two origins",
         "two sites", "no host"],
)  # fmt: skip
def test_headers_that_contradict_each_other_are_refused(port, lines):
    assert send(port, request("/", headers=[*lines, ("Connection", "close")])).status in {400, 403, 421}


def test_the_page_names_no_address_that_a_header_brings(port):
    answer = ask(port, "/", headers=[("X-Gradio-Server", "http://evil.example")])
    assert answer.status == 200
    assert "evil.example" not in answer.text


@pytest.mark.parametrize("target", ["http://evil.example/", "http://127.0.0.1/", "evil.example:80", "*", "config"])
def test_other_forms_of_the_target_are_refused(port, target):
    assert send(port, request(target, headers=[("Host", f"127.0.0.1:{port}"), ("Connection", "close")])).status in {
        400, 404,
    }  # fmt: skip


def test_http_1_0_without_a_host_is_refused(port):
    assert send(port, request("/", version="1.0")).status == 421


def test_a_socket_of_the_web_gets_no_further_than_the_page(port, attacker):
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"),
               ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]  # fmt: skip
    for target in ("/gradio_api/queue/join", "/ws", "/gradio_api/heartbeat/a"):
        raw = request(target, headers=[("Host", f"127.0.0.1:{port}"), ("Cookie", attacker.cookie), *upgrade])
        assert send(port, raw).status in {400, 403, 404, 426}


ELSEWHERE = {
    "another site": [("Origin", "http://evil.example")],
    "another site, https": [("Origin", "https://127.0.0.1:{port}.evil.example")],
    "another port": [("Origin", "http://localhost:3000")],
    "another port of the address": [("Origin", "http://127.0.0.1:3000")],
    "another name of this machine": [("Origin", "http://localhost:{port}")],
    "no origin to speak of": [("Origin", "null")],
    "an extension": [("Origin", "chrome-extension://127.0.0.1:{port}")],
    "a file": [("Origin", "file://")],
    "user in it": [("Origin", "http://127.0.0.1:{port}@evil.example")],
    "empty": [("Origin", "")],
    "cross-site": [("Sec-Fetch-Site", "cross-site")],
    "same-site": [("Sec-Fetch-Site", "same-site")],
    "cross-site with our origin": [("Origin", "http://127.0.0.1:{port}"), ("Sec-Fetch-Site", "cross-site")],
    "a form that navigates": [
        ("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ],
    "nothing said": [],
}  # fmt: skip
KINDS = ["application/json", "text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data; boundary=cut"]


@pytest.mark.parametrize("headers", ELSEWHERE.values(), ids=ELSEWHERE)
@pytest.mark.parametrize("kind", KINDS)
def test_other_sites_can_send_nothing_even_with_the_cookie(attacker, port, event, headers, kind):
    """The simple kinds of content need no leave of the server's before a browser sends them."""
    told = [(name, value.format(port=port)) for name, value in headers]
    body = multipart([("files", b"x")])[1] if kind.startswith("multipart") else event
    for target in (JOIN, RUN, UPLOAD):
        answer = ask(port, target, "POST", [("Cookie", attacker.cookie), ("Content-Type", kind), *told], body)
        assert answer.status == 403, target
        assert answer.all("access-control-allow-origin") == []


@pytest.mark.parametrize("headers", list(ELSEWHERE.values())[:-1], ids=list(ELSEWHERE)[:-1])
def test_other_sites_can_read_nothing(attacker, port, headers):
    told = [(name, value.format(port=port)) for name, value in headers]
    for target in ("/", "/gradio_api/queue/data?session_hash=abc", "/gradio_api/app_id", "/theme.css"):
        answer = attacker.get(target, told)
        assert answer.status == 403, target
        assert answer.all("access-control-allow-origin") == []


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3000", "null"])
def test_no_site_is_given_leave_to_send_more(port, origin):
    asked = [("Origin", origin), ("Access-Control-Request-Method", "POST"),
             ("Access-Control-Request-Headers", "content-type,x-gradio-user")]  # fmt: skip
    answer = ask(port, JOIN, "OPTIONS", asked)
    assert answer.status == 403
    assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


def test_a_link_from_another_site_opens_the_page_and_nothing_else(port):
    link = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    assert ask(port, "/", headers=link).status == 200
    for target in ("/gradio_api/queue/data?session_hash=abc", "/theme.css"):
        assert ask(port, target, headers=link).status == 403
    assert ask(port, "/", headers=[*link[:2], ("Sec-Fetch-Dest", "iframe")]).status == 403


@pytest.mark.parametrize("cookie", [None, "", "rollout-page=x", "{name}=", "{name}=guessed", "{name}=\u00e9", '=;=;,"'])
def test_programs_that_never_opened_the_page_can_call_nothing(attacker, port, event, cookie):
    name = attacker.cookie.partition("=")[0]
    held = [] if cookie is None else [("Cookie", cookie.format(name=name))]
    headers = [*held, *attacker.headers[1:]]
    for target in (JOIN, RUN, UPLOAD):
        answer = attacker.post(target, event, headers)
        assert answer.status == 403
        assert "loaded again" in said(answer)
        assert answer.one("x-rollout-page") == "stale"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(port):
    (cookie,) = ask(port, "/").all("set-cookie")
    assert {part.strip() for part in cookie.split(";")[1:]} == {"Path=/", "HttpOnly", "SameSite=Strict"}


def test_the_query_of_the_page_opens_nothing(port):
    plain = ask(port, "/").text
    for query in ("all_endpoints=true", "deep_link=../../x", "page=config", "deep_link=%00", "view=api", "__sign=x"):
        answer = ask(port, f"/?{query}")
        assert answer.status == 200
        assert abs(len(answer.text) - len(plain)) < 200


@pytest.mark.parametrize("target", ["/", "/theme.css", "/assets/none.js", "/config", "/gradio_api/file=/etc/passwd"])
def test_every_answer_carries_the_policy(attacker, target):
    answer = attacker.get(target)
    policy = answer.one("content-security-policy")
    assert "frame-ancestors 'none'" in policy or policy.startswith("default-src 'none'")
    assert "http:" not in policy
    assert "https:" not in policy
    assert answer.one("x-content-type-options") == "nosniff"
    assert answer.one("x-frame-options") == "DENY"
    assert answer.one("cross-origin-resource-policy") == "same-origin"
    assert answer.all("access-control-allow-origin") == []
