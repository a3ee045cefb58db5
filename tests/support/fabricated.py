"""Fabricated trainings: records as the trainer writes them, without a trainer."""

import time
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from PIL import Image

from app.page import tick
from core.config.flat import flatten, parse_config
from core.config.presets import load_preset
from core.config.run import RunConfig
from core.runs import journal
from core.runs.arms import DEFAULT_ARMS
from core.runs.drift import ChainScores, DriftRecord
from core.runs.experiment import Experiment, create_experiment
from core.runs.folder import RunFolder
from core.runs.records import StepRecord
from core.runs.status import Status, write_status
from core.runs.workspace import Workspace

COLOURS = ("orange", "white", "green", "blue", "red", "purple", "black")


def changed(config: RunConfig, **values) -> RunConfig:
    return parse_config({**flatten(config), **values})


def write_steps(folder: RunFolder, count: int, *, first: int = 1, rolled: int = 0, seconds: float = 0.2) -> None:
    for step in range(first, first + count):
        record = StepRecord(
            step=step,
            loss=1.0 / step,
            lr=1e-3,
            grad_norm=0.5,
            probability=1.0 if rolled else 0.0,
            rolled=rolled,
            items=4,
            mean_offset=rolled / 4,
            max_offset=rolled,
            rollout_forwards=rolled,
            trained_states=4,
            rollout_drift=0.1 if rolled else None,
            rollout_v=-0.02 if rolled else None,
            seconds=seconds,
            elapsed=seconds * step,
        )
        journal.append(folder.metrics_path, record.to_dict())


def write_probe(folder: RunFolder, step: int, v_end: float, *, base: bool = False) -> None:
    record = DriftRecord(
        step=step,
        grid=(900.0, 100.0),
        m1=(0.1, 0.3),
        v=(v_end, v_end),
        m1_mean=0.2,
        base=base,
        pairs=4,
        chain=ChainScores(samples=8, inference_steps=20, guidance=1.0, v=v_end, diversity=0.8, nearest=0.5, high=0.9),
    )
    journal.append(folder.drift_path, record.to_dict())


def write_sample(folder: RunFolder, step: int, prompt: int = 0, seed: int = 42, colour: str = "orange") -> Path:
    path = folder.samples_dir / f"step-{step:06d}" / f"p{prompt:02d}-s{seed}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (64, 64), colour).save(path)
    return path


def finish(folder: RunFolder, phase: str = "done", step: int = 30, **more) -> None:
    write_status(folder, Status(phase=phase, step=step, total=30, heartbeat=time.time(), **more))  # type: ignore[arg-type]


def make_experiment(
    workspace: Workspace,
    name: str = "Orange cat",
    config: RunConfig | None = None,
    *,
    arms: Sequence[str] = DEFAULT_ARMS,
    seeds: int = 1,
    effect: float = -0.1,
) -> Experiment:
    """An experiment that is done; rollout's V lies ``effect`` from the reference's, a little farther by seed."""
    config = changed(load_preset("demo").config, max_train_steps=30) if config is None else config
    experiment = create_experiment(workspace, name, config, arms, seeds=seeds)
    first = experiment.arms[0].seed
    for arm in experiment.arms:
        place, seed = list(arms).index(arm.arm), arm.seed - first
        write_steps(arm.run, 30, rolled=3 * (arm.arm == "rollout"))
        for step in (0, 30):
            own = effect if arm.arm == "rollout" else 0.01 * place
            write_probe(arm.run, step, -0.05 + 0.003 * seed + own * (1 + 0.1 * seed) * (step > 0))
            for prompt in range(2):
                write_sample(arm.run, step, prompt, colour=COLOURS[place] if step else "gray")
        write_probe(arm.run, 0, -0.03, base=True)
        arm.run.log_path.write_text(f"hello from {arm.arm}\n")
        finish(arm.run)
    finish(experiment.folder, step=len(experiment.arms))
    return experiment


def look_at(parts, view, seen="", *, opened=None, **values):
    """One look of the timer: what each live part was given, and the signatures to send along next time.

    All folds are open unless those that are get named.
    """
    folds = sorted({live.fold for live in parts.lives} - {""}) if opened is None else opened
    shown = view if view == "hidden" else " ".join([view, *folds])
    inputs = [values.get(_slot(parts, component)) for live in parts.lives for component in live.inputs]
    answer = tick(parts, [shown, seen, *inputs])
    if not isinstance(answer, list):
        return {}, seen
    outputs, place = {}, 0
    for live in parts.lives:
        for component in live.outputs:
            if not (isinstance(answer[place], dict) and answer[place] == gr.skip()):
                outputs[_slot(parts, component)] = answer[place]
            place += 1
    return outputs, answer[-1]


def _slot(parts, component):
    return next(name for name, known in parts.slots.items() if known is component)
