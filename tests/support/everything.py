"""A workspace with one of everything that the page reads, small, and looks at all of it."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gradio.blocks import Block
from safetensors.numpy import save_file

from app.design import TWO_ARMS
from app.form import values_of
from app.page import restore
from app.tabs import compare_export, compare_vote, configure, inspect, launch
from core.config.presets import load_preset, save_preset
from core.rollout.cost import Calibration
from core.runs.cost import write_predicted
from core.runs.files import to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.liveness import Identity, write_exit
from core.runs.lock import record_launch
from core.runs.measurement import Facts, Measurement, keep_measurement
from core.runs.measuring import measuring_folder
from core.runs.records import record_event
from core.runs.scoring import scoring_folder
from core.runs.status import Status, write_status
from core.runs.votes import Vote, record_vote
from core.runs.workspace import Workspace
from tests.support.fabricated import changed, finish, look_at, make_experiment, write_probe, write_sample, write_steps
from tests.support.inspections import inspected

GONE = Identity(2**22 + 1, 1.0)
"""A process that cannot be."""
SELECTIONS = ("experiments/orange-cat", "runs/single", "runs/failed")
VIEWS = ("home", "launch", "monitor", "compare", "inspect", "export")


def make_everything(root: Path) -> Workspace:
    """An experiment, single runs in every state, inspections, votes, a preset, a measurement, what processes leave."""
    workspace = Workspace(root)
    workspace.check_writable()
    config = changed(load_preset("demo").config, max_train_steps=30)
    facts = Facts("v_prediction", 999, (0.0, 500.0, 999.0), 2.0, 0.5, 300.0)
    measurement = Measurement(facts, Calibration(*(0.1 for _ in Calibration.__dataclass_fields__)), "cpu")
    experiment = make_experiment(workspace, "Orange cat", config)
    for arm in experiment.arms:
        _fill(arm.run, measurement)
    record_vote(experiment.path / "votes.jsonl", Vote(1.0, 42, 30, 0, 42, "rollout", "teacher-forced", "left"))
    record_event(experiment.folder.events_path, "exit", "rollout: done after 1.0 min", arm="rollout")
    _life(experiment.folder, 0)
    _life(scoring_folder(experiment.path), 1, phase="failed", error="no room")
    for name, phase in (("single", "done"), ("failed", "failed"), ("healthy", "done")):
        run = RunFolder.create(workspace.runs_dir, name, config, preset="demo")
        write_steps(run, 30)
        write_probe(run, 0, -0.03)
        write_probe(run, 30, -0.05)
        write_sample(run, 30)
        _fill(run, measurement)
        finish(run, phase, error=None if phase == "done" else "it broke")
        _life(run, 0 if phase == "done" else 1, phase=phase)
    RunFolder.create(workspace.runs_dir, "waiting", config)
    inspected(workspace, RunFolder(workspace.runs_dir / "single"))
    inspected(workspace)
    save_preset(workspace.root, "Mine", "Mine", config, summary="My own.", for_whom="me")
    keep_measurement(workspace.root, config, measurement)
    _life(measuring_folder(workspace.root, config), 1, phase="failed", error="too large")
    record_launch(workspace.root, 'run "single"', workspace.runs_dir / "single", GONE)
    for name in ("lock", "starting"):
        write_whole(workspace.root / ".training" / name, to_json({"name": "single", "pid": GONE.pid, "time": 1.0}))
    return workspace


def _fill(run: RunFolder, measurement: Measurement) -> None:
    """What a training leaves beside its records."""
    write_predicted(run, measurement)
    write_whole(run.env_path, to_json({"packages": {"torch": "2.13.0"}, "device": "cpu", "threads": 1}))
    run.log_path.write_text(f"hello from {run.name}\n")
    record_event(run.events_path, "drift_alarm", "V at step 30 is 9 % below", step=30, metric="v_end", change=-0.09)
    checkpoint = run.checkpoints_dir / "step-000030"
    checkpoint.mkdir()
    (checkpoint / "state.json").write_text(json.dumps({"step": 30, "scheduler": {}}))
    run.adapter_dir.mkdir()
    save_file({"unet.a": np.zeros(1, np.float32)}, run.adapter_dir / "pytorch_lora_weights.safetensors")


def _life(folder: RunFolder, code: int, **said: Any) -> None:
    """A process that was launched for a folder and has ended."""
    folder.path.mkdir(parents=True, exist_ok=True)
    if said:
        write_status(folder, Status(**{"step": 30, "total": 30, "heartbeat": time.time(), **said}))
    if not folder.log_path.exists():
        folder.log_path.write_text("error: no room\n")
    facts = {"pid": GONE.pid, "create_time": GONE.create_time}
    argv = ["python", "-m", "core"]
    write_whole(folder.process_path, to_json({**facts, "started": 1.0, "argv": argv, "launcher": facts}))
    write_exit(folder.exit_path, GONE.pid, code)


def look_everywhere(parts: Any, selections: Sequence[str] = SELECTIONS) -> dict[str, str]:
    """All that the page shows of a workspace, as text by component; nothing may raise, and all of it can be sent."""
    told = {}
    for selection in selections:
        inspection = "runs/single/inspection" if selection.startswith("runs/") else ""
        chosen = {"selection": selection, "compare.pick": [selection], "inspect.key": inspection, "inspect.kind": "run"}
        for view in VIEWS:
            shown, _ = look_at(parts, view, **chosen)
            told |= {f"{selection} {slot}": sendable(value) for slot, value in shown.items()}
        told[f"{selection} votes"] = sendable(compare_vote.deal(parts, [selection]))
        told[f"{selection} tally"] = sendable(compare_vote.show_tally(parts, [selection]))
        told[f"{selection} sheet"] = sendable(compare_export.make_sheet(parts, [selection]))
        told[f"{selection} film"] = sendable(inspect.show_film(parts, inspection, "0"))
        told[f"{selection} restored"] = sendable(restore(parts, None, selection, {"run": selection}))
    told["launch"] = review(parts)
    told["configure"] = sendable(configure.preview(parts, "mine", _raw()))
    told["presets"] = sendable(configure.preset_choices(parts))
    told["entries"] = sendable([entry.title + entry.label + entry.message for entry in parts.workbench.entries()])
    return told


def review(parts: Any) -> str:
    """What the Launch tab says of the settings that everything here was made with."""
    return sendable(launch.review(parts, TWO_ARMS, "demo", _raw()))


def _raw() -> list[Any]:
    return values_of(changed(load_preset("demo").config, max_train_steps=30))


def sendable(value: Any) -> str:
    """A value as text; the page sends UTF-8 JSON, which takes no half of a surrogate pair."""
    if isinstance(value, Block):
        value = value.get_config()
    if isinstance(value, dict):
        value = {str(key): sendable(item) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        value = [sendable(item) for item in value]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text.encode("utf-8")
    return text
