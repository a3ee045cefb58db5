"""Inspections of real tiny runs, LoRA files and base models: what is measured, kept, and kept apart."""

import json
import math
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_runs import ADAPTER, SCORED, drift, same_numbers

from core.errors import DataError, RunError
from core.evaluation.adherence import FILE as BACKGROUNDS
from core.evaluation.inspection import Target, alarms_found, as_json, inspect, run_target
from core.evaluation.strips import POINTS, films
from core.evaluation.subject import chain_at, load_subject, measure_full
from core.models.lora_file import read_lora
from core.models.lora_fit import load_lora
from core.runs.alarms import read_alarm_events
from core.runs.folder import RunFolder
from core.runs.inspection import read_inspection
from core.runs.inspections import begin_inspection, inspection_folder
from core.runs.status import Status, write_status
from core.samples.load import load_finished


class Told:
    """A reporter that remembers, and can stop after so many signs of life."""

    def __init__(self, most: int | None = None):
        self.phases, self.shares, self.checks, self.most = [], [], 0, most

    def phase(self, phase, message, total=0, unit="it"):
        self.phases.append(phase)

    def progress(self, done, total):
        self.shares.append(done / total)
        self.check()

    def check(self):
        self.checks += 1
        if self.most is not None and self.checks >= self.most:
            raise InterruptedError


def started(run: RunFolder) -> RunFolder:
    folder = inspection_folder(run)
    begin_inspection(folder, "run", run.name)
    return folder


def inspected(run: RunFolder, report=None):
    return inspect(run_target(run, run.name), started(run), Told() if report is None else report)


def test_a_run_is_measured_beside_its_base(run):
    before, report = drift(run), Told()
    found = inspected(run, report)
    base, own = found.records()
    assert [(record.base, record.step, record.scope) for record in (base, own)] == [
        (True, 0, "full"),
        (False, 3, "full"),
    ]
    for record in (base, own):
        assert record.pairs >= 32
        assert len(record.grid) == len(record.m1) == len(record.g2) == len(record.lag) > 0
        assert len(record.free_grid) == len(record.free_v) == 5
        assert (record.chain.samples, record.chain.inference_steps, record.chain.guidance) == (2, 5, 1.0)
        assert record.chain.adherence is None
    assert base.m1 != own.m1
    assert base.chain.v != own.chain.v
    assert report.phases == ["loading", "sampling", "saving"]
    assert report.shares == sorted(report.shares)
    assert report.shares[-1] == 1.0
    assert all(same_numbers(a, b) for a, b in zip(drift(run)[len(before) :], (base, own), strict=True))


def test_finished_samples_are_those_that_the_training_scored(run):
    last = [record for record in drift(run) if record.step == 3][-1]
    _, own = inspected(run).records()
    assert own.chain.v == pytest.approx(last.chain.v, abs=1e-4)
    assert own.chain.diversity == pytest.approx(last.chain.diversity, rel=1e-3)


def test_the_folder_reads_back_with_audit_and_pictures(run):
    found = inspected(run)
    read = read_inspection(found.folder)
    assert (read.what, read.target, read.adapter) == (
        "run",
        "run",
        str(run.adapter_dir / ADAPTER),
    )
    assert read.audit == found.audit
    assert read.strips == found.strips
    assert read.facts["pairs"] == 32
    assert read.facts["kind"] == "v_prediction"
    assert json.dumps(as_json(read, read.records()), default=str)
    for name in (*read.clean, *(name for strip in read.strips for name in strip.pictures)):
        with Image.open(read.folder.path / name) as picture:
            assert picture.size == (16, 16)


def test_strips_go_from_noise_to_clean_on_both_paths_of_both_models(run):
    strips = inspected(run).strips
    assert {(strip.which, strip.path, strip.pair) for strip in strips} == {
        (which, path, pair) for which in ("base", "adapter") for path in ("teacher-forced", "own") for pair in (0, 1)
    }
    for strip in strips:
        assert len(strip.pictures) == len(strip.distance) == len(strip.v) == len(strip.timesteps) == min(POINTS, 5)
        assert list(strip.timesteps) == sorted(strip.timesteps, reverse=True)
        assert all(map(math.isfinite, strip.v))
        if strip.path == "teacher-forced":
            assert set(strip.distance) == {0.0}
        else:
            assert strip.distance[-1] > 0


def test_both_paths_begin_with_the_same_noise(run):
    subject = load_subject(run.config(), run.path)  # at zero terminal SNR the true path begins in pure noise too
    found = films(subject, base=False, pairs=2, on_step=lambda: None)
    true, own = found["teacher-forced"], found["own"]
    torch.testing.assert_close(own.estimates[0], true.estimates[0], atol=1e-4, rtol=1e-4)
    assert max(own.distance[0]) < 1e-3 < max(own.distance[-1])


def test_the_base_is_measured_alike_with_and_without_an_adapter_on_it(run):
    subject = load_subject(run.config(), run.path)

    def measured(base):
        return measure_full(subject, base=base, step=0, samples=2, on_step=lambda: None)

    bare = measured(False)
    load_lora(read_lora(run.adapter_dir), subject.family)
    assert same_numbers(replace(bare, base=True), measured(True))
    assert not same_numbers(bare, measured(False))


def test_a_finished_run_draws_without_the_dropout_of_its_training(trained):
    family = load_finished(trained("dropped", lora_dropout=0.5))
    noisy, condition = torch.ones(1, 4, 8, 8), family.encode_prompts(["a sks cat"])
    with torch.no_grad():
        twice = [family.predict(family.network, noisy, torch.tensor([500.0]), condition) for _ in range(2)]
    assert torch.equal(*twice)


def test_a_file_is_measured_with_the_pictures_of_a_config(run, config, tmp_path):
    out = RunFolder(tmp_path / "inspected")
    begin_inspection(out, "file", "lora")
    lora = read_lora(run.adapter_dir)
    before = drift(run)
    found = inspect(Target("file", "lora", config(**SCORED), lora=lora), out, Told(), pairs=1)
    base, own = found.records()
    assert (base.step, own.step, own.base) == (0, 0, False)
    assert {strip.pair for strip in found.strips} == {0}
    assert drift(run) == before
    assert same_numbers(replace(own, step=3), inspected(run).records()[1])


def test_a_base_is_measured_before_any_training(config, one_thread, tmp_path):
    out = RunFolder(tmp_path / "inspected")
    begin_inspection(out, "base", "base")
    found = inspect(Target("base", "base", config("epsilon", **SCORED)), out, Told())
    (record,) = found.records()
    assert record.base
    assert (found.audit, found.adapter) == (None, None)
    assert {strip.which for strip in found.strips} == {"base"}
    assert found.facts["kind"] == "epsilon"


def test_a_file_that_does_not_fit_leaves_its_audit_with_the_keys(run, config, tmp_path):
    tensors = load_file(run.adapter_dir / ADAPTER)
    path = tmp_path / "other.safetensors"
    save_file({key.replace("unet.", "unet.other."): tensor for key, tensor in tensors.items()}, path)
    out = RunFolder(tmp_path / "inspected")
    begin_inspection(out, "file", str(path))
    with pytest.raises(DataError, match=r"unet\.other"):
        inspect(Target("file", str(path), config(**SCORED), lora=read_lora(path)), out, Told())
    found = read_inspection(out)
    assert len(found.problems) == found.audit.modules == len(tensors) / 2
    assert found.records() == ()


@pytest.mark.parametrize("most", [1, 20, 40])
def test_a_stop_leaves_an_unfinished_folder_and_the_run_alone(run, most):
    before = drift(run)
    with pytest.raises(InterruptedError):
        inspected(run, Told(most))
    assert not (inspection_folder(run).path / "inspection.json").exists()
    assert drift(run) == before


def test_a_run_without_an_adapter_or_in_progress_is_refused(run):
    write_status(run, Status(phase="training", pid=1, create_time=None))
    assert run_target(run, run.name).step == 3
    process = psutil.Process()
    write_status(run, Status(phase="training", pid=process.pid, create_time=process.create_time()))
    with pytest.raises(RunError, match="in progress"):
        run_target(run, run.name)
    (run.adapter_dir / ADAPTER).unlink()
    with pytest.raises(RunError, match="finished run"):
        run_target(run, run.name)


def test_a_shrunk_adapter_raises_the_alarm_and_the_run_keeps_it(run):
    found, target = inspected(run), run_target(run, run.name)
    base, own = found.records()
    shrunk = replace(own, chain=replace(own.chain, v=base.chain.v - 0.2, diversity=base.chain.diversity))
    assert {alarm.metric for alarm in alarms_found(target, (base, shrunk))} == {"v_end"}
    assert {alarm.metric for alarm in alarms_found(replace(target, run=None), (base, shrunk))} == {"v_end"}
    told = {event.details["metric"] for event in read_alarm_events(run)}
    assert told >= {alarm.metric for alarm in alarms_found(target, (base, own))}


def test_adherence_is_taken_where_the_base_names_backgrounds(bases, trained):
    path = bases["v_prediction"] / BACKGROUNDS
    path.write_text(json.dumps({"white": [255, 255, 255]}))
    try:
        run = trained("named", instance_prompt="a sks cat on a white background")
        subject = load_subject(run.config(), run.path)
        scores = chain_at(subject, 4, 3, 1.0, lambda: None)
    finally:
        path.unlink()
    assert 0 < scores.adherence < 1


def test_pictures_differ_along_a_strip(run):
    strip = inspected(run).strips[0]
    shown = [np.asarray(Image.open(inspection_folder(run).path / name)).tobytes() for name in strip.pictures]
    assert len(set(shown)) == len(shown)
