"""What a training leaves and says around its steps: the final adapter, its environment, blank samples, bad batches."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_checkpoint import save_checkpoint
from tiny_runs import ADAPTER, ROLLOUT, adapter, metrics, run

from app.cards import alarm_notes
from app.entries import run_entry
from app.journals import Journals
from core.errors import RunError
from core.runs.alarms import SAMPLE_KIND
from core.runs.folder import RunFolder
from core.runs.journal import read_all
from core.runs.process import request_stop
from core.runs.records import Event, read_records
from core.runs.room import require_room
from core.runs.status import derive_state, read_status
from core.training.environment import changes_between
from core.training.failures import hint_for, told
from core.training.loop import Loop

DRAWN = {"validation_prompts": ("a sks cat",), "num_validation_images": 2}


@pytest.fixture
def halved(one_thread, config, runs_dir, monkeypatch):
    """A run of 4 steps that was stopped after 2."""
    folder = RunFolder.create(runs_dir, "halved", config(max_train_steps=4, **ROLLOUT))
    plain = Loop.take_step

    def step(loop):
        plain(loop)
        request_stop(loop.folder)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "take_step", step)
        run(folder)
    return folder


def test_the_environment_tells_machine_threads_and_versions(halved):
    facts = json.loads(halved.env_path.read_text())
    assert facts["threads"] == 1
    assert facts["processes"] == 1
    assert facts["machine"]
    assert facts["instructions"]
    assert facts["packages"]["torch"] == torch.__version__


def test_a_resume_with_other_threads_is_said_in_the_log_and_the_events(halved, capsys):
    torch.set_num_threads(2)
    run(halved, resume=True)
    (event,) = [event for event in read_records(Event, halved.events_path) if event.kind == "environment"]
    assert event.text.startswith("resumed with threads 1 before and 2 now")
    assert f"warning: {event.text}" in capsys.readouterr().out
    assert read_status(halved).phase == "done"


def test_a_resume_on_the_same_machine_says_nothing(halved):
    run(halved, resume=True)
    assert [event.kind for event in read_records(Event, halved.events_path) if event.kind == "environment"] == []


def test_every_fact_that_decides_on_bits_is_compared():
    now = {
        "packages": {"torch": "2.13.0", "peft": "1"}, "machine": "x86_64", "processor": "a", "instructions": "AVX2",
        "device": "cpu", "gpu": None, "threads": 1, "processes": 1,
    }  # fmt: skip
    assert changes_between(now, now) == []
    assert changes_between({}, now) == []
    other = {**now, "processor": "b", "processes": 2, "packages": {"torch": "2.12.0", "peft": "1"}}
    assert changes_between(other, now) == [
        "torch 2.12.0 before and 2.13.0 now",
        "processor b before and a now",
        "processes 2 before and 1 now",
    ]


def black_base(folder):
    """A base model whose decoder knows no number: it trains, and draws black."""
    base = save_checkpoint(folder)
    path = base / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["decoder.conv_out.bias"] = torch.full_like(tensors["decoder.conv_out.bias"], -1e9)
    save_file(tensors, path, metadata={"format": "pt"})
    return base


def test_black_samples_are_flagged_on_the_page_once_each(trained, tmp_path, capsys):
    folder = trained("black", black_base(tmp_path / "base"), **DRAWN)
    texts = [event.text for event in read_records(Event, folder.events_path) if event.kind == SAMPLE_KIND]
    assert len(texts) == len(set(texts)) == 4
    assert "The sample p00-s42.png at step 0 is black: it shows nothing" in texts
    assert f"sample alarm: {texts[0]}" in capsys.readouterr().out
    shown = alarm_notes(Journals(), run_entry(folder).arms)
    assert "Sample alarm, black" in shown
    assert "is black: it shows nothing" in shown
    assert "mixed_precision" in shown
    assert read_status(folder).phase == "done"


def test_samples_that_show_something_are_not_flagged(trained):
    folder = trained("plain", **DRAWN)
    assert [event for event in read_records(Event, folder.events_path) if event.kind == SAMPLE_KIND] == []


def test_a_batch_that_is_not_finite_is_named_by_its_pictures(one_thread, config, runs_dir, monkeypatch):
    plain = torch.Tensor.backward
    monkeypatch.setattr(torch.Tensor, "backward", lambda loss, *args, **more: plain(loss * float("nan"), *args, **more))
    folder = RunFolder.create(runs_dir, "run", config(train_batch_size=2))
    with pytest.raises(
        RunError, match=r"not finite at step 1, on \S+\.png, \S+\.png; there is no checkpoint"
    ) as caught:
        run(folder)
    assert caught.value.__notes__ == ["what to do: lower learning_rate, or use mixed_precision = no"]


def test_the_names_of_a_batch_are_those_of_its_pictures(trained, monkeypatch):
    seen = []
    plain = Loop.take_step

    def step(loop):
        stream = loop.parts.stream
        picks = {stream.sources[0].names[i] for i in _drawn(stream, loop.step)}
        seen.append((set(stream.names(loop.step)), picks))
        plain(loop)

    monkeypatch.setattr(Loop, "take_step", step)
    trained(train_batch_size=3, gradient_accumulation_steps=2)
    assert seen
    assert all(names == picks for names, picks in seen)


def _drawn(stream, step):
    """Which pictures the batches of a step hold, by their latents."""
    from core.training.batches import Position

    pictures = stream.sources[0].pictures
    for micro in range(stream.micro_steps):
        for latent in stream.draw(Position(step, micro), 0.0).clean:
            place = next(i for i, known in enumerate(pictures.latents) if torch.equal(known, latent))
            yield int((pictures.first <= place).sum()) - 1


def test_an_adapter_that_is_not_finite_is_not_saved(one_thread, config, runs_dir, monkeypatch):
    """The last step may break what no later step would notice."""
    plain = Loop.take_step

    def step(loop):
        plain(loop)
        if loop.step == loop.total:
            with torch.no_grad():
                next(p for p in loop.parts.network.parameters() if p.requires_grad).fill_(float("inf"))

    monkeypatch.setattr(Loop, "take_step", step)
    folder = RunFolder.create(runs_dir, "run", config())
    with pytest.raises(RunError, match=r"the adapter must hold numbers, .* not finite at step 3; it was not saved"):
        run(folder)
    assert not folder.adapter_dir.exists()
    assert "learning_rate" in str(derive_state(folder).hint)


def test_an_adapter_that_could_not_be_saved_leaves_no_file_and_the_run_can_be_resumed(
    one_thread, config, runs_dir, monkeypatch, trained
):
    from core.models import saving

    def cut(path, metadata):
        path.write_bytes(path.read_bytes()[:100])

    folder = RunFolder.create(runs_dir, "run", config())
    with monkeypatch.context() as patch:
        patch.setattr(saving, "_add_metadata", cut)
        with pytest.raises(RunError, match="must read back"):
            run(folder)
    assert not folder.adapter_dir.exists()
    assert not (folder.path / ".writing-adapter").exists()
    run(folder, resume=True)
    assert derive_state(folder).label == "done"
    assert all(
        torch.equal(mine, theirs)
        for mine, theirs in zip(adapter(folder).values(), adapter(trained("other")).values(), strict=True)
    )


def test_a_damaged_adapter_is_no_success(trained):
    folder = trained()
    assert derive_state(folder).label == "done"
    path = folder.adapter_dir / ADAPTER
    path.write_bytes(path.read_bytes()[:-4])
    state = derive_state(folder)
    assert (state.label, state.status.phase) == ("failed", "done")
    assert state.message.startswith(f"{path} must be a whole adapter")
    assert run_entry(folder).label == "failed"


def test_a_resume_says_how_many_steps_are_taken_again(trained):
    folder = trained(max_train_steps=5, checkpointing_steps=3)
    (folder.checkpoints_dir / "step-000005" / "state.json").unlink()
    run(folder, resume=True)
    (event,) = [row for row in read_all(folder.events_path) if row["kind"] == "resume"]
    assert (event["step"], event["lost"]) == (3, 2)
    assert event["text"] == "resumed after step 3; 2 steps are taken again"
    assert [row["step"] for row in metrics(folder)] == [1, 2, 3, 4, 5]


def test_room_is_asked_for_with_both_numbers(tmp_path):
    require_room(tmp_path, 0, "nothing")
    with pytest.raises(RunError, match=r"must have 1048592\.0 MiB free for a lot, got \d+\.\d MiB; free some space"):
        require_room(tmp_path, 2**40, "a lot")


@pytest.mark.parametrize(
    ("error", "sentence", "hint"),
    [
        (MemoryError(), "out of memory (MemoryError)", "gradient_checkpointing"),
        (
            RuntimeError("[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried"),
            "out of memory",
            "rank",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "Tried to allocate 2 GiB)", "resolution"),
        (RuntimeError("std::bad_alloc"), "out of memory", "train_batch_size"),
        (OSError(12, "Cannot allocate memory"), "out of memory", "resolution"),
        (OSError(28, "No space left on device"), "log.txt must be writable, got an error: no space left", "disk space"),
        (OSError(122, "Disk quota exceeded", "/a/b"), "/a/b must be writable, got an error: disk quota", "disk space"),
        (OSError(27, "File too large", "/a/b"), "/a/b must be writable, got an error: file too large", "disk space"),
    ],
    ids=str,
)
def test_too_little_memory_and_disk_are_told_as_what_they_are(tmp_path, error, sentence, hint):
    known = told(error, tmp_path / "log.txt")
    assert sentence in str(known)
    assert "\n" not in str(known)
    assert hint in str(hint_for(known))


def test_any_other_failure_stays_what_it_is(tmp_path):
    assert told(ZeroDivisionError("by zero"), tmp_path / "log.txt") is None
    assert hint_for(ZeroDivisionError("by zero")) is None
