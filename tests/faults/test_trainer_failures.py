"""Failures that are recognised, each brought about for real: a sentence that says what is wrong, and what to do."""

import os
import resource
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from real_trainings import Life, Place, command, finish, typed
from safetensors.torch import load_file
from tiny_runs import ADAPTER, same_bits, save_picture

from core.runs.folder import RunFolder
from core.runs.launch import launch, record_end
from core.runs.status import derive_state, read_status
from core.training.checkpoints import list_checkpoints

pytestmark = pytest.mark.faults
OPTION = "error: pretrained_model_name_or_path must be "
ENDS = "; or use 'embedded', which ships with the workbench"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    return Place(tmp_path_factory.mktemp("failures"))


def complaint(place: Place, name: str, code: int, *, environ: dict[str, str] | None = None, **changes) -> list[str]:
    """What a training that is typed complains of; its run's status says the same, and it never began."""
    known = {"ROLLOUT_WORKSPACE": str(place.workspace)} | ({} if environ is None else environ)
    done = typed("train", str(place.file(name, **changes)), "--name", name, **known)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith(("error: ", "what to do: "))]
    folder = RunFolder(place.workspace / "runs" / name)
    state = derive_state(folder)
    assert state.label == "failed"
    assert "\n".join(f"error: {line}" for line in state.message.splitlines()) == "\n".join(
        line for line in lines if line.startswith("error: ")
    )
    if state.hint is not None:
        assert f"what to do: {state.hint}" in lines
    return lines


def test_a_precision_that_is_not_to_be_had(place):
    if torch.cuda.is_available():
        pytest.skip("a GPU has this precision")
    assert complaint(place, "precision", 2, mixed_precision="fp16") == [
        "error: mixed_precision must be no or bf16 without a GPU, got 'fp16'; use bf16 or no"
    ]


def test_a_caption_in_another_encoding(place, tmp_path):
    save_picture(tmp_path / "cat.png", 0)
    (tmp_path / "cat.txt").write_bytes("ein Kätzchen".encode("latin-1"))
    (line,) = complaint(place, "caption", 2, instance_data_dir=str(tmp_path))
    assert line == "error: cat.txt must be UTF-8 text, but byte 5 (0xe4) is not; save the caption as UTF-8"


def test_a_picture_that_is_cut_off(place, tmp_path):
    save_picture(tmp_path / "cat.png", 0)
    (tmp_path / "cat.png").write_bytes((tmp_path / "cat.png").read_bytes()[:-40])
    lines = complaint(place, "picture", 2, instance_data_dir=str(tmp_path))
    assert any("cat.png" in line for line in lines)


class Hub(BaseHTTPRequestHandler):
    """A hub that refuses every model, as the real one does: by status and by the name of the error."""

    answers = {"gated": (403, "GatedRepo"), "unknown": (404, "RepoNotFound"), "private": (401, ""), "ill": (503, "")}  # noqa: RUF012

    def do_GET(self) -> None:
        """Refuses."""
        code, name = next(answer for word, answer in self.answers.items() if f"{word}/" in self.path)
        self.send_response(code)
        self.send_header("X-Error-Code", name)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (
            "gated/model",
            "a model that this account may load, got 'gated/model', which is gated; "
            "accept its terms on its page on the hub and set HF_TOKEN in the environment",
        ),
        (
            "unknown/model",
            "a model that the hub knows and this account may see, got 'unknown/model'; "
            "check its name, and set HF_TOKEN in the environment where it is private",
        ),
        (
            "private/model",
            "a model that the hub knows and this account may see, got 'private/model'; "
            "check its name, and set HF_TOKEN in the environment where it is private",
        ),
    ],
    ids=lambda text: text.partition("/")[0],
)
def test_a_model_that_the_hub_does_not_give_out(place, hub, tmp_path, model, rule):
    environ = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    lines = complaint(place, model.partition("/")[0], 2, environ=environ, pretrained_model_name_or_path=model)
    assert lines == [f"{OPTION}{rule}{ENDS}"]


def test_a_hub_that_is_switched_off_and_one_that_does_not_answer(place, tmp_path):
    environ = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    (line,) = complaint(place, "offline", 2, environ=environ, pretrained_model_name_or_path="some/model")
    rule = "on this machine while HF_HUB_OFFLINE is set, got 'some/model', which is not; "
    assert line == f"{OPTION}{rule}fetch it once without, or name a folder{ENDS}"

    environ |= {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    (line,) = complaint(place, "silent", 2, environ=environ, pretrained_model_name_or_path="some/model")
    rule = "a model on this machine or in reach, got 'some/model', but the hub cannot be reached; "
    assert line == f"{OPTION}{rule}check the connection, or name a folder{ENDS}"


def test_a_model_folder_that_is_not_there(place, tmp_path):
    (line,) = complaint(place, "missing", 2, pretrained_model_name_or_path=str(tmp_path / "model"))
    assert line == f"{OPTION}a folder that exists, got {str(tmp_path / 'model')!r}; check the path"


DIVERGING = {"learning_rate": 1.0, "lora_alpha": 1024.0, "lora_targets": "all", "max_train_steps": 60}


def test_a_training_that_diverges_names_step_and_pictures_and_saves_nothing_that_is_not_finite(place):
    lines = complaint(place, "diverging", 1, checkpointing_steps=1, checkpoints_total_limit=None, **DIVERGING)
    folder = RunFolder(place.workspace / "runs" / "diverging")
    step = read_status(folder).step + 1  # the one that could not be taken
    error, hint = lines
    assert f"must be a number, but it is not finite at step {step}, on " in error
    named = error.partition(", on ")[2].partition(";")[0].split(", ")
    assert set(named) <= {path.name for path in place.pictures.glob("*.png")}
    assert error.endswith(f"; the newest checkpoint is that of step {step - 1}")
    assert "learning_rate" in hint
    assert not folder.adapter_dir.exists()
    saved = list_checkpoints(folder.checkpoints_dir)
    assert [checkpoint.step for checkpoint in saved] == list(range(1, step))
    for checkpoint in saved:
        for name in ("adapter", "optimizer"):
            assert all(
                tensor.isfinite().all() for tensor in load_file(checkpoint.path / f"{name}.safetensors").values()
            )


def test_memory_that_runs_out_in_the_middle_is_told_by_the_training_itself(place):
    folder = place.run("memory", train_batch_size=4, resolution=64, max_train_steps=40)
    life = Life(folder, "run", piped=True, MALLOC_MMAP_THRESHOLD_="65536")
    try:
        assert life.catch(lambda: read_status(folder).phase == "training" and read_status(folder).step > 1)
        life.limit(resource.RLIMIT_AS, 2**20)  # less than it has: it gets no more
        life.thaw()
        said = life.words()
    finally:
        life.end()
    assert life.process.returncode == 1
    assert not any("Traceback" in line for line in said)
    error, hint = (line for line in said if line.startswith(("error: ", "what to do: ")))
    assert error.startswith("error: the training must fit into memory, but this machine is out of memory")
    for option in ("resolution", "train_batch_size", "gradient_checkpointing"):
        assert option in hint
    state = derive_state(folder)
    assert (state.label, f"error: {state.message}", f"what to do: {state.hint}") == ("failed", error, hint)
    finish(folder, "resume")


def test_a_kill_by_the_kernel_is_told_by_whoever_launched_it(place):
    folder = place.run("kernel", max_train_steps=100_000)
    child = launch(folder, command("run", str(folder.path)))
    try:
        while read_status(folder).phase != "training" and child.poll() is None:
            threading.Event().wait(0.05)
    finally:
        os.kill(child.pid, signal.SIGKILL)
    assert record_end(folder, child).code == -9
    state = derive_state(folder)
    assert state.label == "failed"
    assert state.message.startswith("the process was ended by SIGKILL while it was training; the log ends with:")
    for option in ("resolution", "train_batch_size", "gradient_checkpointing"):
        assert option in str(state.hint)


def test_a_run_is_done_only_with_an_adapter_that_loads(place):
    folder = place.run("damaged", max_train_steps=2)
    finish(folder)
    path = folder.adapter_dir / ADAPTER
    whole, tensors = path.read_bytes(), {name: tensor.clone() for name, tensor in load_file(path).items()}
    for damage in (whole[: len(whole) // 2], b"", b"\0" * len(whole)):
        path.write_bytes(damage)
        state = derive_state(folder)
        assert state.label == "failed"
        assert state.message.startswith(f"{path} must be a whole adapter, got an error: ")
        assert state.message.endswith("; resume the run to save it again")
    drawn = typed("sample", str(folder.path), "--prompt", "a sks cat")
    assert (drawn.returncode, drawn.stderr.splitlines()[-1]) == (1, f"error: {state.message}")
    path.unlink()
    assert derive_state(folder).label == "failed"
    finish(folder, "resume")
    assert derive_state(folder).label == "done"
    assert same_bits(load_file(path), tensors)
