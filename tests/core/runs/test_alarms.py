"""Drift alarms: their limits, what a measurement is read against, and that each is told once."""

import math

import pytest

from core.runs import journal
from core.runs.alarms import Alarm, alarms_at, alarms_of, read_alarm_events, record_alarms, reference_of
from core.runs.drift import ChainScores, DriftRecord
from core.runs.files import to_json
from core.runs.folder import RunFolder


def record(step, v=0.0, diversity=1.0, *, samples=8, steps=20, guidance=1.0, **more):
    return DriftRecord(step, chain=ChainScores(samples, steps, guidance, v=v, diversity=diversity), **more)


def found(alarms):
    return [(alarm.step, alarm.metric, alarm.reference) for alarm in alarms]


@pytest.fixture
def pair(tmp_path, config):
    """A run that names its teacher-forced sibling."""
    reference = RunFolder.create(tmp_path, "teacher-forced", config)
    return RunFolder.create(tmp_path, "rollout", config, reference="teacher-forced"), reference


@pytest.mark.parametrize(("share", "metrics"), [(0.951, []), (0.95, []), (0.949, ["v_end"]), (1.3, [])])
@pytest.mark.parametrize("beside", [0.0, -0.3, 0.17, 1.1])
def test_v_alarms_below_95_per_cent_of_the_reference_s_variance_and_not_on_the_limit(share, metrics, beside):
    assert [one.metric for one in alarms_at(record(9, beside + math.log(share)), record(9, beside), "it")] == metrics


@pytest.mark.parametrize(("share", "metrics"), [(0.901, []), (0.9, []), (0.899, ["diversity"]), (2.0, [])])
@pytest.mark.parametrize("beside", [0.8, 0.7, 1.0, 1.23])
def test_diversity_alarms_below_90_per_cent_of_the_reference_s_and_not_on_the_limit(share, metrics, beside):
    own = record(9, diversity=share * beside)
    assert [one.metric for one in alarms_at(own, record(9, diversity=beside), "it")] == metrics


def test_diversity_that_is_written_in_decimals_is_no_alarm_on_the_limit():
    assert alarms_at(record(9, diversity=0.72), record(9, diversity=0.8), "it") == ()


def test_an_alarm_says_step_size_and_what_it_was_read_against():
    shrunk, alike = alarms_at(record(50, math.log(0.9), 0.6), record(50, 0.0, 0.8), "teacher forcing")
    assert shrunk == Alarm(50, "v_end", pytest.approx(-0.1), "teacher forcing")
    assert shrunk.text == "V at step 50 is 10.0 % below teacher forcing: its samples shrink"
    assert alike.text == "Diversity at step 50 is 25.0 % below teacher forcing: its samples grow alike"


@pytest.mark.parametrize("missing", [math.nan, None])
def test_what_was_not_measured_gives_no_alarm(missing):
    own = DriftRecord(5) if missing is None else record(5, missing, missing)
    assert alarms_at(own, record(5), "it") == alarms_at(record(5, -9, 0.1), own, "it") == ()
    assert alarms_of([own], [record(5)]) == ()


def test_a_measurement_is_read_against_the_reference_at_the_same_step():
    own = [record(10, -0.1), record(20, -0.1)]
    assert found(alarms_of(own, [record(10, -0.1), record(20, 0.0)])) == [(20, "v_end", "teacher forcing")]


@pytest.mark.parametrize("other", [{"samples": 9}, {"steps": 10}, {"guidance": 4.0}])
def test_only_what_was_sampled_alike_is_compared(other):
    assert alarms_of([record(10, -1.0)], [record(10, **other)]) == ()
    assert alarms_of([record(10, -1.0), record(0, base=True, **other)], []) == ()
    assert len(alarms_of([record(10, -1.0, **other)], [record(10), record(10, **other)])) == 1


def test_without_the_reference_at_that_step_the_base_model_is_read_against():
    own = [record(0, base=True), record(10, -1.0), record(20, -1.0)]
    assert found(alarms_of(own, [record(20)])) == [(10, "v_end", "the base model"), (20, "v_end", "teacher forcing")]


def test_the_base_model_is_found_by_its_sampling_not_by_its_place():
    own = [record(0, base=True), record(0, base=True, samples=32), record(10, -1.0, samples=32, scope="full")]
    assert found(alarms_of(own, [])) == [(10, "v_end", "the base model")]


def test_the_reference_s_own_base_record_stands_for_no_arm():
    assert alarms_of([record(10, -1.0)], [record(10, base=True)]) == ()


def test_the_base_itself_the_untrained_step_and_a_sweep_never_alarm():
    own = [record(0, -1.0), record(10, -1.0, base=True), record(10, -1.0, scope="sweep")]
    assert alarms_of(own, [record(0), record(10)]) == ()


def test_each_alarm_is_told_once_also_after_a_resume(pair):
    own, reference = pair
    for step in (10, 20):
        journal.append(reference.drift_path, record(step).to_dict())
    first = record(10, -1.0, 0.5)
    assert len(record_alarms(own, [first], 10)) == 2
    assert len(record_alarms(own, [first, record(20, -1.0)], 20)) == 1
    record_alarms(own, [first], 10)  # trained once more from a checkpoint before step 10
    events = read_alarm_events(own)
    assert [(event.details["step"], event.details["metric"]) for event in events] == [
        (10, "v_end"), (10, "diversity"), (20, "v_end"),
    ]  # fmt: skip
    assert events[0].details["change"] == pytest.approx(math.expm1(-1.0))
    assert "below teacher forcing" in events[0].text


def test_only_the_step_that_was_just_measured_is_told(pair):
    own, reference = pair
    for step in (10, 20):
        journal.append(reference.drift_path, record(step).to_dict())
    assert found(record_alarms(own, [record(10, -1.0), record(20, -1.0)], 20)) == [(20, "v_end", "teacher forcing")]


def test_the_reference_is_the_sibling_that_the_run_names(pair):
    own, reference = pair
    assert reference_of(own) == reference
    assert reference_of(reference) is None


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "..", "", "rollout", 3, None, "Teacher Forced", "link"])
def test_a_reference_that_leads_out_of_the_folder_or_to_itself_is_ignored(pair, tmp_path, name):
    own, _ = pair
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    own.meta_path.write_text(to_json({"reference": name}))
    assert reference_of(own) is None


def test_a_reference_whose_folder_is_gone_leaves_the_base_model(tmp_path, config):
    own = RunFolder.create(tmp_path, "rollout", config, reference="teacher-forced")
    records = [record(0, base=True), record(10, -1.0)]
    assert found(record_alarms(own, records, 10)) == [(10, "v_end", "the base model")]
