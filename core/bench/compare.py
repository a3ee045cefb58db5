"""How fast the Compare tab opens an experiment of 10 runs × 2,000 steps × 200 pictures."""

import shutil
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

from core.bench import figure
from core.bench.page import Server
from core.config.presets import load_preset
from core.config.run import RunConfig
from core.errors import RunError
from core.runs import journal
from core.runs.drift import ChainScores, DriftRecord
from core.runs.experiment import Experiment, create_experiment
from core.runs.files import to_json, write_whole
from core.runs.folder import RunFolder
from core.runs.records import StepRecord
from core.runs.status import Status, write_status
from core.runs.workspace import Workspace

ARMS = ("teacher-forced", "rollout")
SEEDS, STEPS, PROBES, SEEDS_OF_SAMPLES = 5, 2_000, 10, 4
LATER = 5
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]

OPEN = """() => new Promise((done, failed) => {
  const began = performance.now();
  const tab = [...document.querySelectorAll('[role=tab]')].find((one) => one.textContent.trim() === 'Compare');
  const isThere = () => {
    const viewer = document.querySelector('rollout-viewer');
    const pictures = viewer?.shadowRoot ? [...viewer.shadowRoot.querySelectorAll('img')] : [];
    return pictures.some((image) => image.complete && image.naturalWidth > 0)
      && document.querySelector('#scores tbody tr') !== null;
  };
  const look = () => {
    const passed = performance.now() - began;
    if (isThere()) return done(passed / 1000);
    if (passed > 60000) return failed(new Error('the tab must show a picture and its table within 60 s'));
    requestAnimationFrame(look);
  };
  tab.click();
  look();
})"""
"""Seconds from the click on the tab to the first picture and the table."""


def measure() -> None:
    """Prints the first opening after the server's start and the median of five later ones, each in a fresh page."""
    try:
        from playwright.sync_api import sync_playwright  # a development package: only two benches need a browser
    except ModuleNotFoundError as error:
        raise RunError("playwright must be installed for this bench, got none; pip install playwright") from error
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise RunError(f"a browser must be installed for this bench, got none of {', '.join(BROWSERS)}")
    server = Server()
    try:
        experiment = fabricate(Workspace(Path(server.workspace.name)))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
            times = []
            for _ in range(1 + LATER):
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(f"{server.url}?run=experiments/{experiment.name}&tab=home")
                page.wait_for_selector("#home-list li")
                page.wait_for_timeout(3000)  # what a fresh page loads by itself is not the tab's
                times.append(page.evaluate(OPEN))
                page.close()
            browser.close()
    finally:
        server.close()
    pictures = PROBES * SEEDS_OF_SAMPLES * len(load_preset("demo").config.validation.validation_prompts)
    what = f"Compare, {SEEDS * len(ARMS)} runs × {STEPS:,} steps × {pictures} pictures"
    figure(f"{what}: first opening", f"{times[0]:.2f} s")
    later = f"{statistics.median(times[1:]):.2f} s"
    figure(f"the same, median of {LATER} later ones, each in a fresh page", later, "≤ 1 s")


def fabricate(workspace: Workspace) -> Experiment:
    """An experiment that looks as if it had been trained: records, probes and pictures, without a training."""
    workspace.check_writable()
    config = load_preset("demo").config
    experiment = create_experiment(workspace, "bench", config, ARMS, seeds=SEEDS)
    rng = np.random.default_rng(0)
    for arm in experiment.arms:
        rolled = 0 if arm.arm == ARMS[0] else 3
        steps = [_step(step, rolled, rng) for step in range(1, STEPS + 1)]
        lines = "".join(to_json(record.to_dict()) + "\n" for record in steps)
        write_whole(arm.run.metrics_path, lines)
        for step in np.linspace(0, STEPS, PROBES).astype(int):
            journal.append(arm.run.drift_path, _probe(int(step), rolled, rng).to_dict())
            _pictures(arm.run, int(step), config, rng)
        _done(arm.run, STEPS)
    _done(experiment.folder, len(experiment.arms))
    return experiment


def _step(step: int, rolled: int, rng: np.random.Generator) -> StepRecord:
    noise = float(rng.normal())
    return StepRecord(
        step=step, loss=0.2 + 0.5 / step + 0.02 * noise, lr=1e-3, grad_norm=0.5 + 0.1 * noise,
        probability=0.5 if rolled else 0.0, rolled=rolled, items=4, mean_offset=rolled / 4, max_offset=rolled,
        rollout_calls=rolled, rollout_forwards=2 * rolled, trained_states=4,
        rollout_drift=0.1 + 0.01 * noise if rolled else None, rollout_v=-0.02 + 0.01 * noise if rolled else None,
        seconds=0.2 + 0.01 * noise, elapsed=0.2 * step, memory_mb=700.0,
    )  # fmt: skip


def _probe(step: int, rolled: int, rng: np.random.Generator) -> DriftRecord:
    noise = rng.normal(scale=0.01, size=20)
    chain = ChainScores(
        samples=8, inference_steps=20, guidance=1.0, v=-0.05 - 0.01 * rolled + float(noise[0]), high=0.9,
        diversity=0.8 + float(noise[1]), nearest=0.5 - 0.02 * rolled + float(noise[2]), energy_distance=0.3,
    )  # fmt: skip
    grid = tuple(float(timestep) for timestep in np.linspace(49, 999, 20))
    m1 = tuple(float(value) for value in 0.2 + noise)
    return DriftRecord(
        step=step, grid=grid, m1=m1, v=tuple(float(value) for value in noise), m1_mean=sum(m1) / len(m1), chain=chain,
        pairs=8,
    )  # fmt: skip


def _pictures(run: RunFolder, step: int, config: RunConfig, rng: np.random.Generator) -> None:
    side = config.data.resolution
    folder = run.samples_dir / f"step-{step:06d}"
    folder.mkdir()
    for prompt in range(len(config.validation.validation_prompts)):
        for seed in range(SEEDS_OF_SAMPLES):
            coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
            picture.save(folder / f"p{prompt:02d}-s{config.validation.validation_seed + seed}.png")


def _done(folder: RunFolder, total: int) -> None:
    write_status(folder, Status(phase="done", step=total, total=total, heartbeat=time.time()))
