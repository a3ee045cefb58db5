import dataclasses
import math
from pathlib import Path

import pytest

from core.runs import journal
from core.runs.drift import ChainScores, DriftRecord
from core.runs.records import Event, StepRecord, read_records, record_event, records_from

STEP = StepRecord(
    step=7, loss=0.25, loss_rolled=0.5, loss_teacher_forced=0.2, lr=1e-4, grad_norm=2.0, probability=0.5, rolled=3,
    items=4, mean_offset=1.5, max_offset=3, rollout_calls=3, rollout_forwards=6, trained_states=7, below_grid=1,
    rollout_drift=0.1, rollout_v=-0.02, rollout_g2=-0.001, posterior_entropy=0.7, posterior_nearest=0.8,
    reflexflow_direction=1.5, reflexflow_error=0.3, reflexflow_spread=0.6, seconds=0.2, elapsed=3.0, memory_mb=100.0,
)  # fmt: skip
CHAIN = ChainScores(
    samples=24, inference_steps=20, guidance=2.0, v=-0.1, v_channels=(0.1, 0.2), mean_channels=(0.0, 0.5),
    bands=(0.1, -0.2), high=0.9, nearest=0.4, nearest_least=0.2, diversity=0.7, energy_distance=0.3, energy_p=0.04,
    adherence=0.01,
)  # fmt: skip
DRIFT = DriftRecord(
    step=7, scope="full", base=True, grid=(999.0, 500.0), m1=(0.5, -0.25), v=(0.1, 0.2), v_channels=((0.1,), (0.2,)),
    lag=(0.1, 0.2), lag_residual=(0.3, 0.4), epsilon_norm=(0.01, 0.02), bands=((0.1, 0.2), (0.3, 0.4)), g0=(0.1, 0.2),
    g1=(0.1, 0.3), g2=(0.1, 0.4), restoring=(0.5, 0.6), restoring_noise=(0.0, 0.1), m1_mean=0.1, free_grid=(1.0, 2.0),
    free_v=(0.1, 0.5), free_bands=((0.5,), (0.6,)), chain=CHAIN, pairs=16, seconds=3.0,
)  # fmt: skip


BARE = StepRecord(step=1, loss=0.0)


@pytest.mark.parametrize("record", [STEP, BARE, dataclasses.replace(STEP, loss_rolled=None, rollout_drift=None), DRIFT])
def test_a_record_comes_back_from_its_journal_as_it_was(tmp_path: Path, record: StepRecord | DriftRecord) -> None:
    path = tmp_path / "journal.jsonl"
    journal.append(path, record.to_dict())
    assert repr(read_records(type(record), path)) == repr([record])


def test_no_field_of_the_record_that_comes_back_stands_at_its_default() -> None:
    for record, bare in (
        (STEP, BARE), (DRIFT, DriftRecord(step=0)), (CHAIN, ChainScores(samples=0, inference_steps=0, guidance=0.0)),
    ):  # fmt: skip
        names = [field.name for field in dataclasses.fields(record)]
        assert [name for name in names if getattr(record, name) == getattr(bare, name)] == []


def test_a_record_of_another_writer_reads_with_what_it_has() -> None:
    (record,) = records_from(StepRecord, [{"step": 3, "loss": 0.5, "of_tomorrow": [1]}])
    assert (record.step, record.loss, record.loss_rolled, record.items) == (3, 0.5, None, 0)
    assert math.isnan(record.grad_norm)


@pytest.mark.parametrize("kind", [StepRecord, DriftRecord])
def test_every_field_may_be_of_the_wrong_type_but_the_step(kind: type[StepRecord] | type[DriftRecord]) -> None:
    names = [field.name for field in dataclasses.fields(kind) if field.name != "step"]
    (record,) = records_from(kind, [{"step": 1, **{name: {"not": "this"} for name in names}}])
    assert repr(record) == repr(kind.from_dict({"step": 1}))
    assert records_from(kind, [{}, {"step": "1"}, {"step": True}, {"step": math.nan}]) == []


def test_a_loss_that_was_not_finite_reads_as_nan() -> None:
    (record,) = records_from(StepRecord, [{"step": 1, "loss": None}])
    assert math.isnan(record.loss)


def test_an_event_keeps_its_details(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    record_event(path, "exit", "the process ended", code=3)
    (event,) = read_records(Event, path)
    assert (event.kind, event.text, dict(event.details)) == ("exit", "the process ended", {"code": 3})
    assert event.time > 1e9
    assert records_from(Event, [{"text": "of no kind"}]) == []
