"""Makes the README's pictures with the committed code: ``python -m assets.pictures`` (trains four times the demo).

Nothing is picked: the demo preset's own prompts and first seeds, all of them, in every arm.
"""

import argparse
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from core.config.presets import load_preset
from core.runs.folder import RunFolder
from core.runs.status import derive_state
from core.samples.compare import Row, comparison_sheet

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "assets" / "pictures"
EXPERIMENT = "demo-ab"
ARMS = {"teacher-forced": "teacher-forced", "rollout": "rollout", "too-long": "rollout,\ntoo long"}
BEGINS = {"Inspect": "Trajectory: what it sees"}
"""Words at which a tab's picture begins, where that is not its top."""
WITHOUT_PRIOR = "demo-without-prior"


def main() -> None:
    """Trains what is not yet trained in the workspace, then draws everything."""
    parser = argparse.ArgumentParser(prog="python -m assets.pictures", description=__doc__)
    parser.add_argument("--workspace", type=Path, default=ROOT / ".build" / "pictures")
    parser.add_argument("--only", choices=("sheets", "page"), help="draw these only")
    arguments = parser.parse_args()
    workspace = arguments.workspace.resolve()
    if arguments.only != "page":
        _train(workspace)
        comparison(workspace).save(PICTURES / "comparison.png", optimize=True)
        lora(workspace).save(PICTURES / "lora.png", optimize=True)
    if arguments.only != "sheets":
        screenshots(ROOT / ".build" / "experiment")


def _train(workspace: Path) -> None:
    wanted = {
        workspace / "runs" / WITHOUT_PRIOR: [
            "train", "demo", "--name", WITHOUT_PRIOR, "--set", "with_prior_preservation=false",
            "--set", "scheduled_sampling_max_step_offset=0",
        ],
        workspace / "experiments" / EXPERIMENT / "too-long": ["ab", "demo", "--too-long", "--name", EXPERIMENT],
    }  # fmt: skip
    for path, command in wanted.items():
        if not path.exists() or derive_state(RunFolder(path)).label != "done":
            subprocess.run(
                [sys.executable, "-m", "core", *command, "--workspace", str(workspace)], cwd=ROOT, check=True
            )


def _last_samples(run: Path) -> list[Path]:
    return sorted(sorted((run / "samples").glob("step-*"))[-1].glob("*.png"))


def _first_samples(run: Path) -> list[Path]:
    return sorted((run / "samples" / "step-000000").glob("*.png"))


def _columns() -> list[str]:
    validation = load_preset("demo").config.validation
    return [prompt for prompt in validation.validation_prompts for _ in range(validation.num_validation_images)]


def comparison(workspace: Path):
    """Every arm's last samples, all prompts and seeds."""
    folder = workspace / "experiments" / EXPERIMENT
    rows = [Row(label, _last_samples(folder / arm)) for arm, label in ARMS.items()]
    return comparison_sheet(rows, _columns(), tile=80)


def lora(workspace: Path):
    """The subject, the base, and the LoRA with and without prior preservation."""
    arm = workspace / "experiments" / EXPERIMENT / "teacher-forced"
    columns = _columns()
    subject: Sequence[Path | None] = sorted((ROOT / "assets" / "subjects" / "orange-cat").glob("*.png"))
    subject = [*subject, *[None] * len(columns)][: len(columns)]
    rows = [
        Row("the subject's\npictures", subject),
        Row("base model", _first_samples(arm)),
        Row("LoRA, prior\npreserved", _last_samples(arm)),
        Row("LoRA, prior\nnot preserved", _last_samples(workspace / "runs" / WITHOUT_PRIOR)),
    ]
    return comparison_sheet(rows, columns, tile=80)


def screenshots(workspace: Path) -> None:
    """The page on the experiment of docs/experiment.md (``make experiment``), as a browser shows it."""
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "--server-port", str(port), "--workspace", str(workspace)]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
                args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
            )
            for scheme in ("light", "dark"):
                tab = browser.new_page(viewport={"width": 1440, "height": 1000}, color_scheme=scheme)
                for name in ("Configure", "Compare", "Inspect"):
                    tab.goto(f"http://127.0.0.1:{port}/")
                    tab.get_by_role("tab", name=name, exact=True).click()
                    tab.wait_for_timeout(6000)
                    top = tab.get_by_text(BEGINS[name]).first.bounding_box() if name in BEGINS else None
                    clip = {
                        "x": 0,
                        "y": 0 if top is None else top["y"] - 30,
                        "width": 1440,
                        "height": 1400 if name == "Compare" else 1000,
                    }
                    tab.screenshot(path=PICTURES / f"page-{name.lower()}-{scheme}.png", full_page=True, clip=clip)
            browser.close()
    finally:
        server.terminate()
        server.wait(20)


def _wait_for(url: str) -> None:
    import time

    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"{url} did not answer")


if __name__ == "__main__":
    main()
