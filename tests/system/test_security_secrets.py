"""A page that is open to the network, a training that it starts, and an environment full of secrets and traps."""

import json
import os
import re
import time
import zipfile
from pathlib import Path

import psutil
import pytest
from PIL import Image

from app.form import values_of
from core.config.presets import load_preset
from core.config.spec import option_specs
from core.runs.files import read_object
from core.runs.folder import RunFolder
from core.runs.status import FINAL_LABELS, derive_state
from core.runs.workspace import Workspace
from tests.support.fabricated import changed, make_experiment
from tests.support.raw_http import Answer, LoggedIn, ask, log_in, request, send
from tests.support.served import Served

PATIENCE = 180.0
PASSWORD = "marker-of-the-login"
SECRETS = {
    "HF_TOKEN": "hf_markerOfTheHub",
    "HUGGING_FACE_HUB_TOKEN": "hf_markerOfTheOldHub",
    "WANDB_API_KEY": "markerofwandb0123456789",
    "AWS_SECRET_ACCESS_KEY": "markerOfAws",
    "MY_OWN_SECRET": "marker-of-my-own",
    "GRADIO_AUTH": f"me:{PASSWORD},you:{PASSWORD}-2",
    "GRADIO_SECRET": "marker-of-gradio",
}
MARKERS = [value.encode() for value in (*SECRETS.values(), PASSWORD)]
TRAPS = {
    "GRADIO_SHARE": "True",
    "GRADIO_ALLOWED_PATHS": "/",
    "GRADIO_SSR_MODE": "True",
    "GRADIO_MCP_SERVER": "True",
    "GRADIO_RUN_HISTORY": "True",
    "GRADIO_ANALYTICS_ENABLED": "True",
    "GRADIO_NUM_WORKERS": "2",
    "GRADIO_VIBE_MODE": "1",
    "GRADIO_WATCH_DIRS": "/",
    "GRADIO_LOCAL_DEV_MODE": "1",
    "GRADIO_PROFILING": "1",
}
"""What would open, share or publish, were it heard."""
HOOK = """
import os, socket, sys
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        known = arguments[1] if event in ("socket.connect", "socket.sendto") else arguments[0]
        if not (event == "socket.connect" and isinstance(known, (str, bytes))):  # a socket of this machine's own
            with open(os.environ["NETWORK_LOG"], "a") as file:
                file.write(f"{sys.argv[0]} {event} {known!r}\\n")
sys.addaudithook(note)
with open(os.environ["NETWORK_LOG"], "a") as file:
    file.write(f"{sys.argv[0]} listens\\n")
"""
SHORT = {
    "with_prior_preservation": False, "class_prompt": None, "validation_num_inference_steps": 2,
    "validation_prompts": ["a noto emoji of a dog face"], "num_validation_images": 1, "validation_steps": 0,
    "drift_pairs": 2, "drift_samples": 0, "train_batch_size": 1, "rank": 2, "max_train_steps": 2,
    "checkpointing_steps": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    """Every process of Python that the page is or starts writes here whom it asks for."""
    folder = tmp_path_factory.mktemp("network")
    (folder / "sitecustomize.py").write_text(HOOK)
    return folder / "log"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, network):
    """A page for the network with a login, over a workspace with an experiment."""
    place = Workspace(tmp_path_factory.mktemp("guarded") / "workspace")
    place.check_writable()
    make_experiment(place)
    own = {"PYTHONPATH": str(network.parent), "NETWORK_LOG": str(network), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **SECRETS, **TRAPS, **own}
    made = Served(place.root, None, "--server-name", "0.0.0.0", environment=environment)
    try:
        yield made.wait()
    finally:
        made.stop()


@pytest.fixture(scope="module")
def user(guarded) -> LoggedIn:
    return LoggedIn(guarded.port, "me", PASSWORD)


@pytest.fixture(scope="module")
def trained(guarded, user) -> RunFolder:
    """A real training, started on the page and looked at on every tab, and an experiment's report."""
    config = changed(load_preset("demo").config, **SHORT)
    for name, value in zip(option_specs(), values_of(config), strict=True):
        user.values[user.names[f"opt-{name}"]] = value
    user.press("start", mode="single", name="tiny")
    run = RunFolder(guarded.workspace / "runs" / "tiny")
    deadline = time.monotonic() + PATIENCE
    while not (run.status_path.exists() and derive_state(run).label in FINAL_LABELS):
        assert time.monotonic() < deadline, run.log_path.read_text() if run.log_path.exists() else "not started"
        time.sleep(0.2)
    assert derive_state(run).label == "done", run.log_path.read_text()
    user.press("make-report", **{"pick-compare": ["experiments/orange-cat"]})
    for tab in ("home", "monitor", "compare", "inspect", "export", "launch"):
        user.look(tab, selection="runs/tiny")
    return run


def own_address() -> str | None:
    """An address of this machine that others can reach."""
    found = [
        address.address
        for each in psutil.net_if_addrs().values()
        for address in each
        if address.family.name == "AF_INET"
    ]
    return next((address for address in found if not address.startswith("127.")), None)


def before_login(port: int) -> list[tuple[str, str]]:
    visit = ask(port, "/").one("set-cookie").partition(";")[0]
    return [("Cookie", visit), ("Origin", f"http://127.0.0.1:{port}"), ("Content-Type", "application/json")]


def test_before_the_login_there_is_a_form_and_nothing_else(guarded, user):
    for query in ("", "?all_endpoints=true", "?deep_link=x", "?run=runs/tiny"):
        page = ask(guarded.port, f"/{query}")
        found = re.search(r"window\.gradio_config = (\{.*?\});\s*</script>", page.text, re.DOTALL)
        assert json.loads(found[1])["auth_required"] is True
        assert json.loads(found[1])["components"] == json.loads(found[1])["dependencies"] == []
        for told in ("orange-cat", "instance_data_dir", "opt-", str(guarded.workspace)):
            assert told not in page.text, told


def test_before_the_login_every_address_that_shows_or_does_anything_is_closed(guarded, user):
    headers = before_login(guarded.port)
    picture = guarded.workspace / "experiments/orange-cat/rollout/samples/step-000030/p00-s42.png"
    user.look("monitor", selection="experiments/orange-cat")
    assert user.get(f"/gradio_api/file={picture}").status == 200
    for target in (f"/gradio_api/file={picture}", "/gradio_api/queue/data?session_hash=a",
                   "/gradio_api/upload_progress?upload_id=a", "/config", "/gradio_api/info"):  # fmt: skip
        assert ask(guarded.port, target, headers=headers).status in {401, 404}, target
    for event in user.handlers:
        call = {"data": user.usual(event), "fn_index": event["id"], "session_hash": "abc", "trigger_id": None}
        for target in ("/gradio_api/run/predict", "/gradio_api/queue/join"):
            assert ask(guarded.port, target, "POST", headers, json.dumps(call).encode()).status == 401
    assert ask(guarded.port, "/gradio_api/upload", "POST", headers, b"{}").status == 401


def test_a_wrong_name_and_a_wrong_password_are_answered_alike(guarded):
    visit = before_login(guarded.port)[0][1]
    pairs = [("me", "x"), ("nobody", "x"), ("nobody", PASSWORD), ("me", f"{PASSWORD}-2")]
    told = [log_in(guarded.port, visit, *pair) for pair in pairs]
    assert {(answer.status, answer.text, answer.one("set-cookie")) for answer in told} == {
        (400, '{"detail":"Incorrect credentials."}', "")
    }


def test_the_logins_cookies_stay_with_this_site_and_out_of_scripts(guarded):
    visit = before_login(guarded.port)[0][1]
    answer: Answer = log_in(guarded.port, visit, "you", f"{PASSWORD}-2")
    assert answer.status == 200
    assert len(answer.all("set-cookie")) == 2
    for cookie in answer.all("set-cookie"):
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()


def test_the_network_finds_the_page_under_its_address_and_no_other_sites_name(guarded):
    address = own_address()
    if address is None:
        pytest.skip("no address: this machine has no network")
    for host, status in (
        (f"{address}:{guarded.port}", 200),
        ("evil.example", 421),
        (f"evil.example:{guarded.port}", 421),
    ):
        raw = request("/", headers=[("Host", host), ("Connection", "close")])
        assert send(guarded.port, raw, address).status == status
    asked = [("Host", f"{address}:{guarded.port}"), ("Origin", "http://evil.example"), ("Connection", "close"),
             ("Access-Control-Request-Method", "POST")]  # fmt: skip
    for method in ("OPTIONS", "GET"):
        answer = send(guarded.port, request("/", method, asked), address)
        assert answer.status == 403
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control")]


def test_gradios_own_variables_open_nothing(guarded, user):
    assert user.get("/gradio_api/file=/etc/hostname").status == 403
    for target in ("/gradio_api/mcp/", "/gradio_api/mcp/sse", "/gradio_api/runs", "/gradio_api/profiling/traces",
                   "/gradio_api/vibe-code", "/gradio_api/dev/reload"):  # fmt: skip
        assert user.get(target).status == 404
    assert "gradio.live" not in guarded.log.read_text()
    children = psutil.Process(guarded.process.pid).children(recursive=True)
    assert not [child for child in children if "node" in child.name()]


def test_no_secret_reaches_a_file_a_log_a_picture_or_the_page(guarded, user, trained):
    """Everything in the workspace, unpacked; what the page says; what the list of processes shows."""
    assert (trained.path / "adapter" / "pytorch_lora_weights.safetensors").is_file()
    said = {"the page's log": guarded.log.read_bytes(), "the command": b" ".join(command(guarded.process.pid))}
    for path in guarded.workspace.parent.rglob("*"):
        if path.is_file() and not path.is_symlink():
            said |= contents(path)
    assert any(name.endswith(".png: text") for name in said)
    assert any("orange-cat.zip" in name and "index.html" in name for name in said)
    assert read_object(trained.process_path) is None or "argv" in str(read_object(trained.process_path))
    page = user.get("/")
    said |= {
        "the page": page.body,
        "its headers": str(page.headers).encode(),
        "what it shows": str(user.values).encode(),
    }
    found = [(name, marker) for name, data in said.items() for marker in MARKERS if marker in data]
    assert found == []


def command(pid: int) -> list[bytes]:
    return [word.encode() for word in psutil.Process(pid).cmdline()]


def contents(path: Path) -> dict[str, bytes]:
    """A file as it is, and what is packed in it."""
    found = {str(path): path.read_bytes()}
    if path.suffix == ".png":
        with Image.open(path) as image:
            found[f"{path}: text"] = str(image.info).encode()
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            found |= {f"{path}: {name}": packed.read(name) for name in packed.namelist()}
    return found


def test_nobody_else_is_asked_for_anything(network, trained):
    """Neither by the page nor by the training, from their start to a report."""
    lines = network.read_text().splitlines()
    assert len([line for line in lines if line.endswith("listens")]) >= 2
    known = ("'127.0.0.1'", "'localhost'", "'::1'", "'0.0.0.0'", "None", "('127.0.0.1',", "('::1',")
    asked = [line for line in lines if not line.endswith("listens")]
    assert asked, "the page asks itself whether it is ready"
    assert [line for line in asked if not line.partition("socket.")[2].partition(" ")[2].startswith(known)] == []
