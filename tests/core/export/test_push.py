"""An upload goes to the repository that was named, with the token of the environment, to a fake hub on this machine."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from core.errors import RunError
from core.export.push import push, push_problem, push_text

TOKEN = "hf_" + "a" * 34


class FakeHub(BaseHTTPRequestHandler):
    """Answers what an upload asks."""

    def _answer(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, self.headers.get("authorization"), body))
        if self.server.status != 200:
            self._answer({"error": "no"}, self.server.status)
        elif self.path == "/api/repos/create":
            self._answer({"url": f"{constants.ENDPOINT}/me/cat", "name": "me/cat", "id": "me/cat"})
        elif self.path.endswith("/preupload/main"):
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for file in json.loads(body)["files"]]  # fmt: skip
            self._answer({"files": files})
        elif self.path.endswith("/commit/main"):
            commit = {"commitOid": "1" * 40, "commitUrl": f"{constants.ENDPOINT}/me/cat/commit/1", "hookOutput": ""}
            self._answer({"success": True, **commit})
        else:
            self._answer({"errors": [], "warnings": []})

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("authorization"), b""))
        self._answer({"error": "nothing there"}, 404)

    def log_message(self, *said):
        pass


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    server.asked, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "out"
    (made / "images").mkdir(parents=True)
    (made / "README.md").write_text("---\ntags:\n- lora\n---\n# Cat\n")
    (made / "cat.safetensors").write_bytes(b"weights")
    (made / "images" / "a.png").write_bytes(b"picture")
    return made


def test_all_files_go_to_the_repository_in_one_commit_with_the_token(hub, folder):
    assert push(folder, "me/cat") == f"{constants.ENDPOINT}/me/cat/commit/1"
    made = json.loads(next(body for path, _, body in hub.asked if path == "/api/repos/create"))
    assert made["visibility"] == "private"
    commits = [body for path, _, body in hub.asked if path.endswith("/commit/main")]
    assert len(commits) == 1
    lines = [json.loads(line) for line in commits[0].splitlines()]
    files = {
        line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"
    }
    assert files.keys() == {"README.md", "cat.safetensors", "images/a.png"}
    assert files["cat.safetensors"] == b"weights"
    writes = ("/create", "/preupload/main", "/commit/main")
    assert [said for path, said, _ in hub.asked if path.endswith(writes)] == [f"Bearer {TOKEN}"] * 3
    assert not any(TOKEN.encode() in body for *_, body in hub.asked)


@pytest.mark.parametrize(("status", "advice"), [(403, "may write"), (500, "try again later")])
def test_a_refusal_is_a_sentence_without_the_token(hub, folder, status, advice):
    hub.status = status
    with pytest.raises(RunError, match=advice) as caught:
        push(folder, "me/cat")
    assert f"got the answer {status}" in str(caught.value)
    assert TOKEN not in str(caught.value)


def test_a_hub_that_does_not_answer_is_a_sentence(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RunError, match="must be in reach to push me/cat"):
        push(folder, "me/cat")


def test_what_goes_where_is_said_before(hub, folder):
    text = push_text(folder, "me/cat")
    assert f"3 files, 41 bytes, to {constants.ENDPOINT}/me/cat" in text
    assert "README.md, cat.safetensors, images/a.png" in text
    assert "private" in text


def test_without_a_token_nothing_is_even_exported(typed, run, tmp_path, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    code, _, err = typed("export", "my-cat", "--push", "me/cat")
    assert code == 2
    assert "--push must come with a token that may write, got none in the environment variable HF_TOKEN" in err[0]
    assert not (tmp_path / "workspace" / "exports").exists()


def test_an_offline_hub_and_a_name_that_is_none_are_refused(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "while HF_HUB_OFFLINE is set" in str(push_problem("me/cat"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert push_problem("me/cat") is None
    assert "must be a repository's name such as me/my-cat" in str(push_problem("a/b/c"))


def test_the_command_exports_says_and_pushes(hub, typed, run, one_thread):
    code, out, _ = typed("export", "my-cat", "--push", "me/cat")
    assert code == 0
    said = next(index for index, line in enumerate(out) if line.startswith("pushing "))
    assert out[said + 1] == f"pushed: {constants.ENDPOINT}/me/cat/commit/1"
    assert any("README.md" in body.decode() for path, _, body in hub.asked if path.endswith("/commit/main"))


def test_a_push_that_fails_keeps_the_export_and_fails(hub, typed, run, one_thread, tmp_path):
    hub.status = 403
    code, _, err = typed("export", "my-cat", "--push", "me/cat")
    assert code == 1
    assert any("the export is kept" in line for line in err)
    assert (tmp_path / "workspace" / "exports" / "my-cat-diffusers" / "README.md").is_file()
