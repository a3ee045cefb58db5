"""Fabricated inspections: the files that an inspection leaves, without a model."""

import json
import struct
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from app.inspection import key_of
from core.models.lora_audit import Audit, Update
from core.runs.drift import ChainScores, DriftRecord
from core.runs.folder import RunFolder
from core.runs.inspection import Inspection, Strip, finish_inspection, pictures_dir
from core.runs.inspections import begin_inspection, inspection_folder, new_inspection
from core.runs.status import Status, write_status
from core.runs.workspace import Workspace
from tests.support.fabricated import look_at

TIMESTEPS = (999.0, 500.0, 50.0)
SCORES = ChainScores(
    samples=8, inference_steps=20, guidance=1.0, v=-0.1, nearest=0.5, diversity=0.8, high=0.9, energy_distance=0.7
)
BASE = DriftRecord(
    step=0, scope="full", base=True, grid=(50.0, 500.0, 900.0), m1=(0.3, 0.2, 0.1), v=(-0.3, -0.2, -0.1), m1_mean=0.2,
    lag=(1.0, 1.5, 2.0), lag_residual=(0.1, 0.1, 0.1), epsilon_norm=(-0.02, -0.01, 0.0),
    bands=((0.0, -0.1), (0.0, -0.2), (0.0, -0.3)), g0=(0.1, 0.1, 0.1), g1=(0.05, 0.05, 0.05), g2=(-0.01, 0.0, 0.01),
    restoring=(0.5, 0.4, 0.3), restoring_noise=(0.1, 0.1, 0.1), free_grid=TIMESTEPS[::-1], free_v=(-0.12, -0.05, 0.0),
    free_bands=((0.0, 0.4), (0.0, 0.2), (0.0, 0.0)), chain=SCORES, pairs=32, seconds=3.0,
)  # fmt: skip
ADAPTER = replace(BASE, base=False, m1_mean=0.111, chain=replace(SCORES, v=-0.12))
AUDIT = Audit(
    name="my-cat.safetensors", format="kohya", size=3 * 2**20, modules=4, parts={"unet": 4}, ranks={"8": 3, "16": 1},
    alphas={"4": 4}, dtypes={"F16": 4}, metadata={"ss_base": "<b>a model</b>"},
    largest=(Update("unet.mid_block.conv", 5.25),), norm=12.5, zero=(), non_finite=(), unknown=("text.hada_w1",),
)  # fmt: skip


def write_pictures(folder: RunFolder, which: str) -> list[Strip]:
    """Strips of two pairs, with a picture each of 64 pixels."""
    pictures_dir(folder).mkdir(exist_ok=True)
    strips = []
    for path, colour in (("teacher-forced", "orange"), ("own", "white")):
        for pair in range(2):
            names = [f"pictures/{which}-{path}-{pair}-{place}.png" for place in range(len(TIMESTEPS))]
            for name in names:
                Image.new("RGB", (64, 64), colour).save(folder.path / name)
            distance = (0.0, 0.25 + pair, 0.5 + pair) if path == "own" else (0.0, 0.0, 0.0)
            strips.append(Strip(which, path, pair, TIMESTEPS, tuple(names), distance, (0.0, -0.01, -0.02)))  # type: ignore[arg-type]
    return strips


def inspected(workspace: Workspace, run: RunFolder | None = None, *, problems: tuple[str, ...] = ()) -> RunFolder:
    """A finished inspection: of a run, or of a LoRA file."""
    folder = new_inspection(workspace, "my-cat") if run is None else inspection_folder(run)
    target = "/home/me/my-cat.safetensors" if run is None else workspace.identifier(run)
    begin_inspection(folder, "file" if run is None else "run", target)
    facts = {"pairs": 32, "samples": 8, "inference_steps": 20, "guidance": 1.0, "seed": 42, "kind": "v_prediction"}
    strips = [] if problems else [strip for which in ("base", "adapter") for strip in write_pictures(folder, which)]
    found = Inspection(
        folder=folder, what="file" if run is None else "run", target=target, created=time.time(), base_model="embedded",
        adapter=target, facts={} if problems else facts, audit=AUDIT, problems=problems, strips=tuple(strips),
        notes=("1 of its 4 modules change nothing",),
    )  # fmt: skip
    write_status(folder, Status(phase="done", started=time.time() - 95, heartbeat=time.time()))
    finish_inspection(found, () if problems else (BASE, ADAPTER))
    return folder


def write_safetensors(path: Path) -> Path:
    """The smallest file that begins as safetensors does."""
    header = json.dumps({"__metadata__": {}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def look(parts, folder=None, **more):
    """What the Inspect tab shows of an inspection, of none where none is given."""
    key = "" if folder is None else key_of(parts.workbench.workspace, folder)
    return look_at(parts, "inspect", **{"inspect.kind": "run", "inspect.key": key, **more})
