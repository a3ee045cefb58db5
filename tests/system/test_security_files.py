"""Attacks on the files of the machine: nothing is handed out but pictures and downloads of what the page shows."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from core.config.paths import PROJECT_ROOT
from core.config.presets import load_preset
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace
from tests.support.raw_http import Attacker

FILE = "/gradio_api/file="
SECRET = "nobody-may-read-this"
ROLLOUT = "experiments/orange-cat/rollout"
PICTURE = f"{ROLLOUT}/samples/step-000030/p00-s42.png"
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Path:
    """A folder of somebody else's, with a picture and a key."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "key.txt").write_text(SECRET)
    (folder / "private.png").write_bytes(PNG + SECRET.encode())
    return folder


@pytest.fixture(scope="module")
def planted(besieged, outside) -> Path:
    """A workspace with everything in it that an attacker could wish for; links lead out of it."""
    workspace = Workspace(besieged.workspace)
    run = workspace.root / ROLLOUT
    samples, reports = run / "samples", workspace.root / "reports"
    for folder in (run / "checkpoints", reports, workspace.root / ".training", samples / ".hidden"):
        folder.mkdir(parents=True, exist_ok=True)
    for place in (
        "checkpoints/state.safetensors", "log.txt", "env.json", "samples/notes.txt", "samples/page.html",
        "samples/drawing.svg", "samples/.hidden/a.png",
    ):  # fmt: skip
        (run / place).write_text(SECRET)
    for name in ("evil.html", "evil.svg", "index.js"):
        (reports / name).write_text(f"<script>{SECRET}</script>")
    (workspace.root / ".training" / "lock.png").write_text(SECRET)
    (workspace.presets_dir / "mine.toml").write_text(SECRET)
    (samples / "out.png").symlink_to(outside / "private.png")
    (samples / "text.png").symlink_to(outside / "key.txt")
    (samples / "folder").symlink_to(outside)
    (samples / "config.png").symlink_to(run / "config.json")
    (reports / "out.zip").symlink_to(outside / "key.txt")
    linked = RunFolder.create(workspace.runs_dir, "linked", load_preset("demo").config)
    if linked.samples_dir.exists():
        linked.samples_dir.rmdir()
    linked.samples_dir.symlink_to(outside)
    return workspace.root


@pytest.fixture(scope="module")
def attacker(besieged, planted) -> Attacker:
    """Has looked at everything, so that all is served that ever is."""
    made = Attacker(besieged.port)
    for selection in ("runs/linked", "experiments/orange-cat"):
        for tab in ("monitor", "compare", "inspect", "export"):
            made.look(tab, selection=selection)
    made.press("make-sheet", **{"pick-compare": ["experiments/orange-cat"]})
    return made


def test_a_picture_that_the_page_shows_is_served_with_a_policy_that_runs_nothing(attacker, planted):
    answer = attacker.get(f"{FILE}{planted}/{PICTURE}")
    assert (answer.status, answer.one("content-type")) == (200, "image/png")
    assert answer.one("content-security-policy") == "default-src 'none'; img-src 'self'; sandbox"
    assert answer.one("x-content-type-options") == "nosniff"


def test_a_download_is_served(attacker, planted):
    assert attacker.get(f"{FILE}{planted}/reports/orange-cat-sheet.png").status == 200


def test_a_range_does_not_send_the_visitors_cookie_back(attacker, planted):
    answer = attacker.get(f"{FILE}{planted}/{PICTURE}", [("Range", "bytes=0-3"), ("X-Mark", "mirrored")])
    assert answer.status == 200
    assert attacker.cookie not in str(answer.headers)
    assert "mirrored" not in str(answer.headers)


IN_WORKSPACE = [
    "", "runs", "experiments", "presets", "datasets", "reports", "reports/", "cache", "cache/page", ".training",
    ".training/lock.png", "presets/mine.toml", "experiments/orange-cat", "experiments/orange-cat/experiment.json",
    ROLLOUT, f"{ROLLOUT}/", f"{ROLLOUT}/samples", f"{ROLLOUT}/samples/", f"{ROLLOUT}/samples/step-000030/",
    f"{ROLLOUT}/config.json", f"{ROLLOUT}/status.json", f"{ROLLOUT}/log.txt", f"{ROLLOUT}/env.json",
    f"{ROLLOUT}/metrics.jsonl", f"{ROLLOUT}/checkpoints", f"{ROLLOUT}/checkpoints/state.safetensors",
    f"{ROLLOUT}/samples/notes.txt", f"{ROLLOUT}/samples/page.html", f"{ROLLOUT}/samples/drawing.svg",
    f"{ROLLOUT}/samples/.hidden/a.png", "reports/evil.html", "reports/evil.svg", "reports/index.js",
]  # fmt: skip
LINKS = [
    f"{ROLLOUT}/samples/out.png", f"{ROLLOUT}/samples/text.png", f"{ROLLOUT}/samples/folder/private.png",
    f"{ROLLOUT}/samples/folder", f"{ROLLOUT}/samples/config.png", "reports/out.zip",
    "runs/linked/samples/private.png",
]  # fmt: skip


@pytest.mark.parametrize("place", [*IN_WORKSPACE, *LINKS])
def test_nothing_else_of_the_workspace_is_served(attacker, planted, place):
    answer = attacker.get(f"{FILE}{planted}/{place}".rstrip() if place else f"{FILE}{planted}")
    assert answer.status == 403
    assert SECRET not in answer.text


ELSEWHERE = [
    "/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/self/cmdline", "/proc/self/cwd/pyproject.toml",
    "/proc/1/environ", "/dev/zero", "/dev/stdin", "/", "~/.bashrc", "C:\\Windows\\win.ini", "\\\\host\\share",
    f"{PROJECT_ROOT}/app/guard.py", f"{PROJECT_ROOT}/pyproject.toml", f"{PROJECT_ROOT}/.git/config",
    f"{PROJECT_ROOT}/assets/subjects/orange-cat", f"{PROJECT_ROOT}", "app/guard.py", "./pyproject.toml",
]  # fmt: skip


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nothing_of_the_machine_is_served(attacker, path):
    for spelt in (path, quote(path, safe="")):
        answer = attacker.get(FILE + spelt)
        assert answer.status == 403, spelt
        assert b"root:" not in answer.body


TRICKS = {
    "dots": "{samples}/../config.json",
    "dots far": "{samples}/../../../../../../../../../../etc/passwd",
    "encoded dots": "{samples}/%2e%2e/config.json",
    "encoded slash": "{samples}/..%2fconfig.json",
    "encoded both": "{samples}%2f%2e%2e%2fconfig.json",
    "encoded twice": "{samples}/%252e%252e/config.json",
    "encoded twice slash": "{samples}/..%252fconfig.json",
    "backslash": "{samples}/..\\config.json",
    "encoded backslash": "{samples}/..%5cconfig.json",
    "overlong": "{samples}/%c0%ae%c0%ae/config.json",
    "overlong slash": "{samples}/..%c0%afconfig.json",
    "fullwidth": "{samples}/%ef%bc%8e%ef%bc%8e/config.json",
    "utf-7": "{samples}/+AC4-+AC4-/config.json",
    "NUL": "{outside}/key.txt%00.png",
    "NUL in samples": "{samples}/../config.json%00.png",
    "two slashes": "/{samples}/../config.json",
    "slashes and dots": "{samples}/.//..//config.json",
    "dot": "{samples}/./../config.json",
    "picture's name at the end": "{samples}/../config.json/../config.json#.png",
    "query": "{samples}/../config.json?x=.png",
    "semicolon": "{samples}/..;/config.json",
    "newline": "{samples}/../config.json%0a.png",
    "picture outside through dots": "{samples}/../../../../../{outside}/private.png",
    "picture outside": "{outside}/private.png",
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_no_spelling_leads_out_of_the_served_folders(attacker, planted, outside, trick):
    target = FILE + trick.format(samples=planted / ROLLOUT / "samples", outside=outside)
    answer = attacker.get(target)
    assert answer.status in {400, 403, 404}
    assert SECRET not in answer.text
    assert "max_train_steps" not in answer.text


@pytest.mark.parametrize("route", ["/gradio_api/file/", "/file=", "/file/", "/gradio_api//file=", "/GRADIO_API/FILE="])
def test_no_other_route_serves_files(attacker, planted, route):
    assert attacker.get(f"{route}{planted}/{PICTURE}").status == 404


@pytest.mark.parametrize("route", ["/assets/", "/static/", "/svelte/"])
@pytest.mark.parametrize(
    "path", ["../../../../../../../../etc/passwd", "..%2f..%2f..%2f..%2fpackage.json", "%2fetc/passwd"]
)
def test_the_pages_own_files_lead_nowhere_else(attacker, route, path):
    assert attacker.get(route + path).status in {400, 403, 404}


REMOTE = [
    "http://169.254.169.254/latest/meta-data", "https://example.com/a.png", "HTTP://example.com/a.png",
    "http:%2f%2fexample.com/a.png", "https%3A%2F%2Fexample.com%2Fa.png", "ftp://example.com/a.png",
    "file:///etc/passwd", "//example.com/a.png", "%20http://example.com/a.png", "http:/example.com/a.png",
]  # fmt: skip


@pytest.mark.parametrize("address", REMOTE)
@pytest.mark.parametrize("route", [FILE, "/gradio_api/file/", "/gradio_api/proxy="])
def test_nothing_is_fetched_from_elsewhere(attacker, route, address):
    assert attacker.get(route + address).status in {403, 404}


def test_a_file_is_for_those_who_opened_the_page(attacker, planted):
    stranger = Attacker(attacker.port)
    stranger.cookie = "rollout-page=guessed"
    assert stranger.get(f"{FILE}{planted}/{PICTURE}").status == 403


def test_the_links_are_there_and_the_folder_is_readable(planted):
    """Otherwise the refusals above would say nothing."""
    for place in LINKS:
        assert os.path.exists(planted / place), place
