"""What is measured at a checkpoint, from training to the journals."""

import torch
from tiny_runs import run

from core.evaluation.scores import chain_scores
from core.runs import alarms, journal
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder
from core.runs.records import read_records
from core.samples.generate import Recipe
from core.samples.latents import sample_latents
from core.samples.load import instance_latents, load_finished

SHORT = {"drift_samples": 3, "max_train_steps": 2}


def test_samples_are_scored_without_pairs_and_pairs_without_samples(trained):
    samples = read_records(DriftRecord, trained("samples", **SHORT).drift_path)
    pairs = read_records(DriftRecord, trained("pairs", drift_pairs=2, max_train_steps=2).drift_path)
    assert [(record.step, record.base) for record in samples] == [(0, False), (0, True), (2, False)]
    assert all(record.grid == () and record.chain is not None and record.chain.samples == 3 for record in samples)
    assert all(record.chain is None and len(record.grid) > 0 for record in pairs)


def test_the_samples_of_the_last_step_are_those_that_the_finished_adapter_draws(trained):
    folder = trained(**SHORT, validation_seed=5)
    family, config = load_finished(folder), folder.config()
    family.network.eval()
    recipe = Recipe(config.validation.validation_num_inference_steps, 1.0, config.data.resolution)
    prompts = ["a sks cat", "a red sks cat", "a sks cat"]  # those of the pictures in their order
    drawn = sample_latents(family, prompts, [5, 6, 7], recipe, on_step=lambda: None)
    again = chain_scores(drawn, drawn, inference_steps=5, guidance=1.0)
    found = read_records(DriftRecord, folder.drift_path)[-1].chain
    assert found is not None
    assert (found.inference_steps, found.guidance) == (5, 1.0)
    # V and the distances are against other latents here; what of them does not depend on those must agree
    training = instance_latents(config, family).pictures
    power = drawn.square().mean((0, 2, 3))
    ratio = torch.tensor(found.v_channels).exp()
    assert torch.allclose(power / ratio, training.square().mean((0, 2, 3)), rtol=1e-3)
    assert again.nearest == 0


def test_an_arm_whose_samples_shrink_beside_its_reference_says_so_in_its_events(trained, config, runs_dir, monkeypatch):
    monkeypatch.setattr(alarms, "DIVERSITY_LIMIT", 0.0)
    trained("teacher-forced", **SHORT)
    reference = RunFolder(runs_dir / "teacher-forced")
    raised = [
        {**line, "chain": {**line["chain"], "v": line["chain"]["v"] + 1}}
        for line in journal.read_all(reference.drift_path)
    ]
    reference.drift_path.unlink()
    for line in raised:
        journal.append(reference.drift_path, line)
    own = config(**SHORT, scheduled_sampling_max_step_offset=2, scheduled_sampling_probability=1.0)
    folder = RunFolder.create(runs_dir, "rollout", own, reference="teacher-forced")
    run(folder)
    (event,) = alarms.read_alarm_events(folder)
    assert event.text.startswith("V at step 2 is ")
    assert event.text.endswith("below teacher forcing: its samples shrink")
    assert event.details["step"] == 2


def test_a_run_without_a_reference_is_read_against_its_base(trained, monkeypatch):
    monkeypatch.setattr(alarms, "V_LIMIT", 100.0)  # whatever it does is too much
    monkeypatch.setattr(alarms, "DIVERSITY_LIMIT", 0.0)
    events = alarms.read_alarm_events(trained(**SHORT))
    assert [event.details["step"] for event in events] == [2]
    assert "the base model" in events[0].text
