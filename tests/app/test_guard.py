"""What is let through, asked directly: names, addresses behind a proxy, events, room for uploads."""

import json

import pytest

from app.calls import OTHER_PAGE, problem_of_call
from app.hosts import Hosts, host_name, hosts_of
from app.refusals import Asked, Rules, refusal
from app.routes import ROUTES
from app.uploads import Uploads

LOCAL = hosts_of("127.0.0.1")


def asked(path="/", method="GET", prefix="", **headers):
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Asked.of({"method": method, "path": path, "root_path": prefix, "headers": [(b"host", b"localhost"), *named]})


def status(request, *, hosts=LOCAL, login=False):
    found = refusal(request, Rules(hosts, lambda path: path == "/picture.png", 7860, login, "secret"))
    return None if found is None else found.status


@pytest.mark.parametrize(
    ("netloc", "name"),
    [
        ("Box.LAN:7860", "box.lan"),
        ("[::1]:7860", "::1"),
        ("10.0.0.5", "10.0.0.5"),
        ("a:b", None),
        ("a@b", None),
        ("a/b", None),
        ("[::1", None),
        ("", None),
    ],
)
def test_a_host_is_a_name_and_perhaps_a_port(netloc, name):
    assert host_name(netloc) == name


def test_on_this_machine_only_its_own_names_are_known():
    assert all(LOCAL.knows(netloc) for netloc in ("127.0.0.1:1", "localhost", "[::1]:7860"))
    assert not any(LOCAL.knows(netloc) for netloc in ("192.168.0.5", "box.lan", "evil.example", "a.gradio.live"))


def test_beyond_this_machine_addresses_in_digits_are_known_and_no_strange_name():
    """A name can be made to lead here by somebody else, an address cannot."""
    for bound in ("0.0.0.0", "::", "192.168.0.5", "box.lan"):
        hosts = hosts_of(bound)
        assert all(hosts.knows(netloc) for netloc in ("192.168.0.5:7860", "[fe80::1]:7860", "localhost", "127.0.0.1"))
        assert not any(hosts.knows(netloc) for netloc in ("evil.example", "192.168.0.5.evil.example", "a.gradio.live"))
    assert hosts_of("box.lan").knows("box.lan:7860")


def test_the_tunnels_names_are_known_while_it_is_open():
    hosts = hosts_of("127.0.0.1", share=True)
    assert hosts.knows("abc123.gradio.live")
    assert not any(hosts.knows(name) for name in ("gradio.live", "abc.gradio.live.evil.example", "evil-gradio.live"))


def test_a_proxys_name_is_known_and_its_pages_are_ours_at_the_port_that_was_named():
    hosts = hosts_of("127.0.0.1", ["Box.Lan", "lab.example:8443"])
    assert hosts.knows("box.lan")
    assert hosts.knows("lab.example:8443")
    assert hosts.owns("https://box.lan", "127.0.0.1:7860")
    assert hosts.owns("https://lab.example:8443", "localhost")
    assert not any(
        hosts.owns(origin, "127.0.0.1:7860")
        for origin in (
            "http://box.lan:3000",
            "https://lab.example",
            "http://localhost:7860",
            "null",
            "",
            "file://box.lan",
        )
    )


def test_the_page_is_open_and_what_belongs_to_it_takes_a_visit():
    assert status(asked()) is None
    assert status(asked("/gradio_api/queue/data")) == 403
    assert status(asked("/gradio_api/queue/data", cookie="rollout-page-7860=secret")) is None
    assert status(asked("/gradio_api/queue/data", cookie="a=b; rollout-page-7860=secret; c=d")) is None
    assert status(asked("/gradio_api/queue/data", cookie="rollout-page-7861=secret")) == 403


def test_an_event_comes_from_the_page_itself():
    visit = {"cookie": "rollout-page-7860=secret"}
    assert status(asked("/gradio_api/queue/join", "POST", origin="http://localhost", **visit)) is None
    assert status(asked("/gradio_api/queue/join", "POST", **visit)) == 403
    assert status(asked("/gradio_api/queue/join", "POST", origin="http://localhost:1", **visit)) == 403


def test_files_are_those_that_are_served():
    visit = {"cookie": "rollout-page-7860=secret"}
    assert status(asked("/gradio_api/file=/picture.png", **visit)) is None
    assert status(asked("/gradio_api/file=/other.png", **visit)) == 403


def test_a_proxys_prefix_is_passed_over_and_nothing_else():
    visit = {"cookie": "rollout-page-7860=secret"}
    assert status(asked("/bench/gradio_api/queue/data", prefix="/bench", **visit)) is None
    assert status(asked("/gradio_api/queue/data", prefix="/bench", **visit)) is None
    assert status(asked("/benchmark/gradio_api/queue/data", prefix="/bench", **visit)) == 404
    assert status(asked("/bench/config", prefix="/bench", **visit)) == 404


def test_the_login_is_there_where_one_is_asked_for():
    sent = asked("/login", "POST", origin="http://localhost", cookie="rollout-page-7860=secret")
    assert (status(sent, login=True), status(sent)) == (None, 404)


def test_every_open_address_says_what_needs_it():
    assert all(route.why for route in ROUTES)
    assert {route.pattern for route in ROUTES if route.open and route.pattern.startswith("/gradio_api/")} == {
        "/gradio_api/startup-events",
        "/gradio_api/app_id",
    }


TAKES = {3: ["any", "any"], 4: ["file"], 5: ["files"]}


def problem(tmp_path, **changes):
    call = {"fn_index": 3, "data": ["a", 1.5], "session_hash": "abc", "trigger_id": 7, "event_data": None, **changes}
    return problem_of_call(json.dumps(call).encode(), TAKES, tmp_path)


def test_what_the_pages_script_sends_passes(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    file = {"path": str(tmp_path / "a.png"), "url": None, "size": 3, "orig_name": "a.png", "mime_type": "image/png",
            "is_stream": False, "meta": {"_type": "gradio.FileData"}}  # fmt: skip
    assert problem(tmp_path) is None
    assert problem(tmp_path, data=[None, {"any": ["thing", 10**21]}]) is None
    assert problem(tmp_path, fn_index=4, data=[file]) is None
    assert problem(tmp_path, fn_index=4, data=[None]) is None
    assert problem(tmp_path, fn_index=5, data=[[file, file]]) is None


@pytest.mark.parametrize("data", [["a"], ["a", 1, 2], {}, None, "ab"])
def test_an_event_with_another_number_of_values_is_another_pages(tmp_path, data):
    assert problem(tmp_path, data=data) == OTHER_PAGE


def test_a_link_in_the_folder_of_uploads_leads_nowhere(tmp_path):
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    (tmp_path / "key").write_text("secret")
    (uploads / "a.png").symlink_to(tmp_path / "key")
    assert problem(uploads, fn_index=4, data=[{"path": str(uploads / "a.png")}]) is not None


def test_there_is_room_for_uploads_up_to_a_bound_those_under_way_counted(tmp_path):
    uploads = Uploads(tmp_path / "uploads", kept=100, reserve=0)
    assert uploads.problem(100) is None
    assert "no room" in uploads.problem(101)
    with uploads.expecting(60):
        assert uploads.problem(40) is None
        assert "no room" in uploads.problem(41)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "a").write_bytes(b"x" * 60)
    assert "no room" in uploads.problem(41)


def test_uploads_leave_some_of_the_disk_free(tmp_path):
    assert "nearly full" in Uploads(tmp_path / "uploads", kept=2**62, reserve=2**61).problem(1)


def test_an_upload_that_still_comes_is_not_tidied_away(tmp_path):
    (tmp_path / "tmpcoming").write_bytes(b"half")
    Uploads(tmp_path).problem(1)
    assert (tmp_path / "tmpcoming").exists()


def test_hosts_are_this_machines_unless_told_otherwise():
    assert Hosts() == hosts_of("localhost")
