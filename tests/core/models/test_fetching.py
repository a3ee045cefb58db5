"""Nothing comes from the hub but by the command that says how much and asks; a local server stands in for the hub."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants as constants
import pytest
from huggingface_hub import HfApi

from core.errors import DataError
from core.models import fetching
from core.models.stable_diffusion import StableDiffusion

NAME, COMMIT = "owner/model", "a" * 40


class Hub(BaseHTTPRequestHandler):
    """One model's files below ``folder``."""

    folder: Path
    asked: list[str]

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        self.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if path.startswith(f"/api/models/{NAME}"):
            files = sorted(each for each in self.folder.rglob("*") if each.is_file())
            rows = [{"rfilename": str(each.relative_to(self.folder)), "size": each.stat().st_size} for each in files]
            tree = [{"type": "file", "path": row["rfilename"], "size": row["size"], "oid": "0"} for row in rows]
            answer = tree if "/tree/" in path else {"id": NAME, "sha": COMMIT, "siblings": rows}
            return self.send(json.dumps(answer).encode(), with_body)
        for prefix in (f"/{NAME}/resolve/{COMMIT}/", f"/{NAME}/resolve/main/"):
            file = self.folder / path.removeprefix(prefix)
            if path.startswith(prefix) and file.is_file():
                return self.send(file.read_bytes(), with_body)
        return self.send(b"{}", with_body, 404)

    def send(self, body, with_body, code=200):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub(bases, tmp_path, monkeypatch):
    """What the hub was asked; its one model is the tiny base."""
    handler = type("Served", (Hub,), {"folder": bases["epsilon"], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    for name in ("ENDPOINT", "HF_ENDPOINT"):
        monkeypatch.setattr(constants, name, endpoint, raising=False)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(fetching, "HfApi", lambda: HfApi(endpoint=endpoint))
    plain = fetching.snapshot_download
    monkeypatch.setattr(
        fetching, "snapshot_download",
        lambda name, **options: plain(name, endpoint=endpoint, cache_dir=tmp_path / "cache", **options),
    )  # fmt: skip
    yield handler
    server.shutdown()
    server.server_close()


def weights_asked(hub):
    return [line for line in hub.asked if line.startswith("GET") and ".safetensors" in line]


def test_a_model_that_is_not_here_is_not_fetched_by_loading_it_and_its_size_is_told(hub, bases):
    with pytest.raises(DataError) as caught:
        StableDiffusion.load(NAME, variant=None)
    size = sum(each.stat().st_size for each in bases["epsilon"].rglob("*") if each.is_file())
    assert "are to be fetched; say so with 'python -m core fetch owner/model'" in str(caught.value)
    assert f"{size / 1e9:.2f} GB" in str(caught.value)
    assert weights_asked(hub) == []


def test_the_command_asks_first_and_fetches_on_yes(hub, typed, bases, monkeypatch):
    monkeypatch.setattr("typer.confirm", lambda text: False)
    code, said, _ = typed("fetch", NAME)
    assert code == 1
    assert said[-1] == "nothing was fetched"
    assert weights_asked(hub) == []
    code, said, complained = typed("fetch", NAME, "--yes")
    assert code == 0, complained
    assert len(weights_asked(hub)) == 3
    family = StableDiffusion.load(NAME)
    assert family.kind == "epsilon"
    assert len(weights_asked(hub)) == 3
    assert typed("fetch", NAME, "--yes")[1] == ["owner/model is whole on this machine"]


def test_a_fetched_model_is_read_without_a_connection(hub, typed, monkeypatch):
    assert typed("fetch", NAME, "--yes")[0] == 0

    class Away:
        def model_info(self, *args, **kwargs):
            raise ConnectionError("no route")

    monkeypatch.setattr(fetching, "HfApi", Away)
    assert StableDiffusion.load(NAME).kind == "epsilon"
    with pytest.raises(DataError, match="the hub cannot be reached"):
        StableDiffusion.load("owner/other")


def test_a_hub_that_does_not_answer_is_told(hub, monkeypatch):
    nowhere = HfApi(endpoint="http://127.0.0.1:9")
    monkeypatch.setattr(fetching, "HfApi", lambda: nowhere)
    with pytest.raises(DataError, match="the hub cannot be reached"):
        StableDiffusion.load(NAME)


def test_the_weights_of_every_part_of_every_family_are_wanted(bases, family_bases):
    for folder in (bases["epsilon"], *family_bases.values()):
        names = sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())
        weights = [name for name in names if name.endswith(".safetensors")]
        assert [name for name in fetching._wanted(names, None) if name.endswith(".safetensors")] == weights


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (None, ["unet/a-00001-of-00002.safetensors", "unet/a-00002-of-00002.safetensors", "vae/b.safetensors"]),
        ("fp16", ["unet/a.fp16.safetensors", "vae/b.safetensors"]),
    ],
)
def test_of_the_weights_that_are_read_the_variant_is_wanted_and_plain_ones_where_a_part_has_none(variant, expected):
    names = [
        "README.md", "model.safetensors", "model_index.json", "unet/a.fp16.safetensors", "unet/a.bin",
        "unet/a-00001-of-00002.safetensors", "unet/a-00002-of-00002.safetensors", "unet/config.json",
        "vae/b.safetensors", "safety_checker/model.safetensors", "text_encoders/t5xxl_fp16.safetensors",
        "vae_1_0/b.safetensors",
    ]  # fmt: skip
    assert sorted(fetching._wanted(names, variant)) == sorted(["model_index.json", "unet/config.json", *expected])
