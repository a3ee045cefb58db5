"""Scores of real tiny runs on demand: what is measured once, kept, and gone on with."""

import json
import shutil

import pytest
from tiny_runs import SCORED, drift, same_numbers

from core.errors import RunError
from core.evaluation.sweep import Bases, Measure, carry_out, plan_work, steps_of, subject_for
from core.runs import journal
from core.runs.drift import DriftRecord
from core.runs.folder import RunFolder


def scored(runs, **how):
    """Scores runs as the command does; returns how many forwards it took and what was planned."""
    works = [plan_work(run, **{"steps": (2, 5), "guidance": (1.0, 2.0), **how}) for run in runs]
    bases, subject, forwards = Bases.of(runs), None, []
    planned = steps_of(works, bases)
    for work in works:
        if work.missing:
            subject = subject_for(work.run, subject)
            list(carry_out(work, bases, subject, lambda: forwards.append(1)))
    return len(forwards), planned


def test_a_run_is_scored_in_full_and_at_other_samplings(run):
    before = len(drift(run))
    forwards, planned = scored([run])
    records = drift(run)[before:]
    told = [(record.scope, record.base, record.chain.inference_steps, record.chain.guidance) for record in records]
    assert told == [
        ("full", True, 5, 1.0), ("full", False, 5, 1.0),
        ("sweep", True, 2, 1.0), ("sweep", False, 2, 1.0),
        ("sweep", True, 5, 1.0), ("sweep", False, 5, 1.0),
        ("sweep", True, 5, 2.0), ("sweep", False, 5, 2.0),
    ]  # fmt: skip
    assert 0 < forwards <= planned
    by_sampling = {key: record.chain.v for key, record in zip(told, records, strict=True)}
    assert by_sampling["full", False, 5, 1.0] == by_sampling["sweep", False, 5, 1.0]
    assert len({by_sampling["sweep", False, *sampling] for sampling in ((2, 1.0), (5, 1.0), (5, 2.0))}) == 3


def test_scoring_goes_on_where_it_was_cut(run):
    work = plan_work(run, steps=(2,), guidance=(2.0,))
    whole = [*carry_out(work, Bases(), subject_for(run, None), lambda: None)]
    kept = journal.read_all(run.drift_path)
    run.drift_path.write_text("".join(json.dumps(row) + "\n" for row in kept[:-3]))
    assert [each.scope for each in plan_work(run, steps=(2,), guidance=(2.0,)).missing] == ["sweep"] * 3
    scored([run], steps=(2,), guidance=(2.0,))
    assert all(same_numbers(a, b) for a, b in zip(drift(run)[-len(whole) :], whole, strict=True))
    assert scored([run], steps=(2,), guidance=(2.0,)) == (0, 0)


def test_an_interrupted_measurement_leaves_the_base_without_an_adapter(run):
    subject = subject_for(run, None)

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(carry_out(plan_work(run), Bases(), subject, stop))
    assert not getattr(subject.family.network, "peft_config", {})


def test_another_number_of_samples_is_another_measurement(run):
    scored([run])
    work = plan_work(run, steps=(2,), guidance=(1.0,), samples=3)
    assert work.missing == work.wanted
    assert {each.samples for each in work.wanted} == {3}


def test_equal_bases_are_measured_once_for_all_runs(trained):
    runs = [trained("one", **SCORED), trained("two", seed=7, max_train_steps=2, **SCORED)]
    first, _ = scored(runs[:1])
    both, planned = scored(runs)
    assert both < first
    assert both <= planned
    ones, twos = ([record for record in drift(run) if record.base and record.scope != "checkpoint"] for run in runs)
    assert all(same_numbers(a, b) for a, b in zip(ones, twos, strict=True))
    single = RunFolder.create(runs[0].path.parent, "single", runs[1].config())
    shutil.copytree(runs[1].adapter_dir, single.adapter_dir)
    scored([single])
    mine = [record for record in drift(single) if not record.base]
    theirs = [record for record in drift(runs[1]) if not record.base and record.scope != "checkpoint"]
    assert all(same_numbers(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_base_whose_prompts_are_read_in_another_precision_is_measured_anew(config):
    bases, measure = Bases(), Measure("full", True, 2, 5, 1.0)
    bases.keep(config(), measure, DriftRecord(0))
    assert bases.find(config(), measure) is not None
    assert bases.find(config(mixed_precision="bf16"), measure) is None


@pytest.mark.parametrize("change", ["content", "prompt", "missing", "new"])
def test_a_run_is_not_held_against_other_pictures_than_its_own(trained, pictures, tmp_path, change):
    own = shutil.copytree(pictures, tmp_path / "own")
    run = trained("run", instance_data_dir=str(own), **SCORED)
    subject_for(run, None)
    if change == "new":
        shutil.copy(own / "0.png", own / "9.png")
    elif change == "missing":
        (own / "0.png").unlink()
    elif change == "prompt":
        (own / "0.txt").write_text("a dog")
    else:
        shutil.copy(own / "2.png", own / "0.png")
    with pytest.raises(RunError, match=f"must be those that it was trained on to be measured, got .*{change}"):
        subject_for(run, None)


def test_a_base_of_other_pictures_is_measured_anew(trained):
    one, two = trained("one", **SCORED), trained("two", validation_seed=7, **SCORED)
    scored([one])
    bases = Bases.of([one])
    measure = Measure("full", True, 2, 5, 1.0)
    assert bases.find(one.config(), measure) is not None
    assert bases.find(two.config(), measure) is None
