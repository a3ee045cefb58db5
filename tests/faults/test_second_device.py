"""Tensors of two devices never meet: every family trains, draws, exports and is measured on a pretended accelerator."""

import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from patience import PATIENCE
from safetensors.torch import load_file
from several_processes import apart
from torch.utils import cpp_extension

pytestmark = pytest.mark.faults

ROOT = Path(__file__).resolve().parents[2]
SUPPORT = ROOT / "tests" / "support"
BASES = ("epsilon", "v_prediction", "flow_matching", "sdxl", "sd3", "sd3 without T5", "flux")
TRAININGS = 12
"""At least so many for each base model."""
CLOSE = {"bf16": 0.05}
"""What of the way that weights took may differ: a GPU's lists of what is computed in half are not the CPU's."""


@cache
def missing() -> str | None:
    """What the machine lacks to compile the device."""
    if shutil.which(cpp_extension.get_cxx_compiler()) is None:
        return "a C++ compiler"
    return None if cpp_extension.is_ninja_available() else "ninja"


@pytest.fixture(autouse=True)
def compiler():
    lacking = missing()
    if lacking is not None:
        pytest.skip(f"the second device is compiled, and {lacking} is missing")


def said_by(*words: str) -> str:
    """What Python prints in a process of its own: the device changes torch for good."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}"}
    ended = subprocess.run(
        [sys.executable, *words], cwd=SUPPORT, env=environment, capture_output=True, text=True, timeout=20 * PATIENCE
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    return ended.stdout


def results(base: str, folder: Path, *before: str) -> dict[str, dict]:
    """What came of each case, by its name."""
    folder.mkdir()
    said_by(*before, "second_device_cases.py", base, str(folder))
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return {row["case"]: row for row in rows}


@pytest.mark.parametrize("base", BASES)
def test_on_a_second_device_every_training_is_the_one_on_the_cpu_and_no_tensor_is_left_behind(base, tmp_path):
    there, here = results(base, tmp_path / "there", "second_device.py"), results(base, tmp_path / "here")
    assert [row["error"] for row in [*there.values(), *here.values()] if row["error"] is not None] == []
    assert len(here) >= TRAININGS
    for name, row in here.items():
        ours, theirs = load_file(there[name]["adapter"]), load_file(row["adapter"])
        assert ours.keys() == theirs.keys()
        assert apart(theirs, ours) < CLOSE.get(name, 1e-3), name


MEETINGS = """
import second_device, torch
second_device.install()
a, b = torch.ones(2, 2, device=second_device.DEVICE), torch.ones(2, 2)
meetings = {
    "sum": lambda: a + b, "product": lambda: a @ b, "join": lambda: torch.cat([a, b]), "index": lambda: b[a.long()],
    "pick": lambda: torch.gather(a, 0, b.long()), "layer": lambda: torch.nn.functional.linear(a, b),
    "convolution": lambda: torch.nn.functional.conv1d(a[None], b[:, :, None]), "write": lambda: a.mul_(b),
    "number": lambda: a * torch.tensor(2.0), "index of the CPU": lambda: a[torch.tensor([0])],
    "copy": lambda: a.copy_(b),
}
for name, meet in meetings.items():
    try:
        meet()
    except RuntimeError:
        print(name)
"""


def test_tensors_of_two_devices_are_refused_where_cuda_refuses_them():
    refused = {"sum", "product", "join", "index", "pick", "layer", "convolution", "write"}
    assert set(said_by("-c", MEETINGS).split("\n")) - {""} == refused


BENCHES = """
import second_device
second_device.install()
from core.bench import calls, forecast, metrics, steps, visited
calls.DRAWS = calls.COUNTED = calls.TIMED = 1
forecast.ARMS = {name: forecast.ARMS[name] for name in ("demo, visited", "demo-flow, fresh with ReflexFlow")}
forecast.STEPS = forecast.WARMUP = metrics.STEPS = metrics.PROBES = steps.STEPS = visited.ROUNDS = 1
for bench in (calls, forecast, metrics, steps, visited):
    bench.measure()
"""


def test_benches_measure_on_a_second_device():
    assert "visited with k = K / plain" in said_by("-c", BENCHES)
