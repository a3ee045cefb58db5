"""Attacks by upload: what comes is bounded, stays in its folder, is looked into, and is never shown.

Requests that trickle in for ever are not looked at here: a proxy has to end them where strangers can reach the page.
"""

import contextlib
import json
import os
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from app.refusals import MAX_CALL
from app.uploads import MAX_KEPT, MAX_UPLOAD
from tests.support.raw_http import Attacker, multipart, request, send

FILE = "/gradio_api/file="
UPLOAD = "/gradio_api/upload"
CACHE = "cache/page"


@pytest.fixture(scope="module")
def workspace(besieged) -> Path:
    return besieged.workspace


@pytest.fixture(scope="module")
def attacker(besieged) -> Attacker:
    return Attacker(besieged.port)


def own_files(workspace: Path) -> set[str]:
    """Everything in the workspace and beside it, uploads left out."""
    every = {str(path) for path in workspace.parent.rglob("*")}
    return {path for path in every if f"/{CACHE}" not in path}


def test_an_upload_that_says_that_it_is_too_long_is_refused_before_it_comes(attacker):
    said = [
        ("Host", f"127.0.0.1:{attacker.port}"),
        *attacker.headers,
        ("Content-Type", "multipart/form-data; boundary=x"),
    ]
    for length in (str(MAX_UPLOAD + 1), "-1", "many", "9" * 400, "0x10", "1 2", "\u00b2"):
        assert send(attacker.port, request(UPLOAD, "POST", [*said, ("Content-Length", length)])).status in {400, 413}


@pytest.mark.parametrize(
    ("target", "most"),
    [
        ("/gradio_api/run/predict", MAX_CALL),
        ("/gradio_api/queue/join", MAX_CALL),
        pytest.param(UPLOAD, MAX_UPLOAD, marks=pytest.mark.faults),
    ],
)
def test_a_body_of_unknown_length_is_cut_off_where_it_becomes_too_long(attacker, workspace, target, most):
    """Bytes are counted as they come: nobody has to say how many there will be."""
    kind, whole = multipart([("a.png", b"")])
    head = request(target, "POST", [
        ("Host", f"127.0.0.1:{attacker.port}"), *attacker.headers, ("Content-Type", kind),
        ("Transfer-Encoding", "chunked"),
    ])  # fmt: skip
    piece = b"x" * 2**20
    with socket.create_connection(("127.0.0.1", attacker.port), 60) as line:
        line.sendall(head + b"%x\r\n%s\r\n" % (len(whole) - 9, whole[:-9]))
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < most + 64 * 2**20:
                line.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
        assert most - 2**20 <= sent < most + 64 * 2**20
    kept = sum(path.stat().st_size for path in (workspace / CACHE).rglob("*") if path.is_file())
    assert kept <= most + 2**20
    assert attacker.get("/gradio_api/app_id").status == 200


def test_too_many_files_are_refused_and_none_is_kept(attacker, workspace):
    before = sorted((workspace / CACHE).rglob("*"))
    assert attacker.upload(*((f"{number}.txt", b"x") for number in range(1001))).status == 400
    assert sorted((workspace / CACHE).rglob("*")) == before


def test_uploads_together_are_bounded_and_broken_ones_tidied_away(attacker, workspace):
    assert attacker.upload(("a.txt", b"a")).status == 200
    left, full = workspace / CACHE / "tmpbroken", workspace / CACHE / "full"
    left.write_bytes(b"half a picture")
    os.utime(left, (0, 0))
    with full.open("wb") as file:
        file.truncate(MAX_KEPT)
    assert attacker.upload(("b.txt", b"b")).status == 507
    assert not left.exists()
    full.unlink()
    assert attacker.upload(("b.txt", b"b")).status == 200


NAMES = [
    "../../../../evil.png", "/etc/evil.png", "..\\..\\evil.png", "..", ".", "", "a/../../evil.png", "x" * 3000 + ".png",
    "%2e%2e%2fevil.png", "....//....//evil.png", ".bashrc", "-rf.png", "CON.png", "evil.png/", "~/evil.png",
    "a;b|c.png",
    "\u202egnp.evil", "{workspace}/presets/evil.toml", "file:///etc/evil.png", "a\tb.png", "../runs/evil/config.json",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_an_upload_leads_nowhere(attacker, workspace, name):
    before = own_files(workspace)
    answer = attacker.upload((name.format(workspace=workspace), b"evil"))
    assert answer.status in {200, 400, 500}
    assert own_files(workspace) == before
    if answer.status == 200:
        (path,) = json.loads(answer.body)
        assert Path(path).resolve().is_relative_to(workspace / CACHE)


SORTS = {
    "page.html": b"<script>alert(1)</script>",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "program.exe": b"MZ\x90\x00",
    "page.png": b"<html><script>alert(1)</script></html>",
    "drawing.jpg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
    "program.png": b"MZ\x90\x00",
    "pickle.safetensors": b"PK\x03\x04 data.pkl",
    "pickle.json": b"\x80\x04\x95cposix\nsystem",
    "state.json": b"[1]",
}


@pytest.mark.parametrize(("name", "data"), SORTS.items(), ids=SORTS)
def test_what_is_no_picture_config_or_lora_is_neither_kept_nor_shown(attacker, workspace, name, data):
    """What a file is is looked for in it, whatever its name says."""
    answer = attacker.upload((name, data))
    (path,) = json.loads(answer.body)
    assert attacker.get(FILE + quote(path)).status == 403
    before = own_files(workspace)
    file = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": name}
    for part, given in (("upload", [file]), ("inspect-upload", file), ("import-file", file)):
        number = attacker.names[part]
        event = next(
            one for one in attacker.events if [number, "upload"] in [list(target) for target in one["targets"]]
        )
        told = attacker.call(event, [given if place == number else attacker.values[place] for place in event["inputs"]])
        assert told.status == 200
        assert "rw-fail" in told.text or '"success":false' in told.text, part
        assert "Traceback" not in told.text
    assert own_files(workspace) == before
