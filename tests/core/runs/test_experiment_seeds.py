"""Experiments over several training seeds: who is paired with whom, and going on after a stop."""

import os
import signal

import pytest
from driven import Stub, Until, arm_trains, driver, labels

from core.config.flat import difference
from core.config.run import RunConfig
from core.errors import RunError
from core.runs.experiment import (
    advance_experiment_stop,
    create_experiment,
    experiment_state,
    list_experiments,
    run_experiment,
    start_experiment,
    stop_experiment,
)
from core.runs.folder import RunFolder
from core.runs.liveness import read_identity
from core.runs.workspace import Workspace


def test_everything_that_is_asked_for_wrongly_is_told_at_once(workspace: Workspace, config: RunConfig) -> None:
    with pytest.raises(RunError) as caught:
        create_experiment(workspace, "wrong", config, ["placebo"], seeds=0, primary="beauty")
    told = str(caught.value).splitlines()
    assert [line.split(" must ")[0] for line in told] == ["seeds", "primary", "arms"]
    assert "got 0" in told[0]
    assert "v_end, nearest" in told[1]
    assert list_experiments(workspace) == []


def test_every_seed_has_all_arms_in_folders_of_its_own(workspace: Workspace, config: RunConfig) -> None:
    arms = ["rollout", "placebo", "teacher-forced", "replicate"]
    experiment = create_experiment(workspace, "many", config, arms, seeds=3, primary="diversity")
    assert (experiment.primary, experiment.seeds) == ("diversity", (42, 43, 44))
    names = ("teacher-forced", "rollout", "placebo", "replicate")
    assert [row.run.name for row in experiment.arms] == [f"{name}-s{seed}" for seed in (42, 43, 44) for name in names]
    for row in experiment.arms:
        expected = row.seed + 1000 if row.arm == "replicate" else row.seed
        assert row.run.config().training.seed == expected
        meta = row.run.meta()
        assert (meta["arm"], meta["seed"]) == (row.arm, row.seed)
        assert meta.get("reference") == (None if row.arm == "teacher-forced" else f"teacher-forced-s{row.seed}")
        if row.arm == "placebo":
            assert row.run.config().training.placebo_of == f"rollout-s{row.seed}"
            assert row.changes == {"placebo_of": f"rollout-s{row.seed}"}


def test_the_arms_of_a_seed_differ_from_those_of_another_in_the_seed_only(
    workspace: Workspace, config: RunConfig
) -> None:
    experiment = create_experiment(workspace, "two", config, ["teacher-forced", "rollout", "equal-compute"], seeds=2)
    first, second = experiment.arms[:3], experiment.arms[3:]
    for one, other in zip(first, second, strict=True):
        assert difference(one.run.config(), other.run.config()) == {"seed": (42, 43)}


def test_without_the_reference_no_run_names_one(workspace: Workspace, config: RunConfig) -> None:
    experiment = create_experiment(workspace, "none", config, ["rollout", "too-long"])
    assert all("reference" not in arm.run.meta() for arm in experiment.arms)


def test_a_placebo_whose_rollout_failed_fails_and_the_rest_goes_on(
    workspace: Workspace, config: RunConfig, stub: Stub
) -> None:
    experiment = create_experiment(workspace, "failed", config, ["rollout", "placebo", "teacher-forced"], seeds=2)
    refused = ("rollout-s42", "placebo-s42")  # as the trainer refuses it
    state = run_experiment(experiment, command=lambda run: stub(run, "crash" if run.name in refused else "finish"))
    assert labels(experiment) == ["done", "failed", "failed", "done", "done", "done"]
    assert state.message == "2 of 6 arms did not end well: rollout-s42 failed, placebo-s42 failed"


def test_an_experiment_of_several_seeds_goes_on_where_it_was_stopped(
    workspace: Workspace, config: RunConfig, stub: Stub, until: Until
) -> None:
    experiment = create_experiment(workspace, "long", config, seeds=2)
    start_experiment(experiment, command=driver(experiment, "rollout-s42=train"))
    until(arm_trains(experiment, 1))
    assert experiment_state(experiment).message == "arm 2 of 4: rollout-s42"
    stop_experiment(experiment)
    until(lambda: advance_experiment_stop(experiment).final)
    assert labels(experiment) == ["done", "stopped", "stopped", "stopped"]
    before = experiment.arms[0].run.status_path.read_bytes()
    trained: list[str] = []

    def noted(run: RunFolder) -> list[str]:
        trained.append(run.name)
        return stub(run, "finish")

    run_experiment(experiment, command=noted)
    assert labels(experiment) == ["done"] * 4
    assert trained == ["rollout-s42", "teacher-forced-s43", "rollout-s43"]
    assert experiment.arms[0].run.status_path.read_bytes() == before


def test_an_experiment_whose_driver_crashed_can_be_resumed(
    workspace: Workspace, config: RunConfig, until: Until
) -> None:
    experiment = create_experiment(workspace, "crashed", config)
    start_experiment(experiment, command=driver(experiment, "teacher-forced=train"))
    until(arm_trains(experiment, 0))
    identity, arm = read_identity(experiment.folder.process_path), read_identity(experiment.arms[0].run.process_path)
    assert identity is not None
    assert arm is not None
    for lost in (identity, arm):
        os.kill(lost.pid, signal.SIGKILL)
    until(lambda: not identity.alive() and not arm.alive())
    assert experiment_state(experiment).final
    start_experiment(experiment, command=driver(experiment))
    until(lambda: experiment_state(experiment).final)
    assert labels(experiment) == ["done", "done"]
