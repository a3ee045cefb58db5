"""Class pictures: drawn once by the base model, shared by all runs of a workspace; the user's own come first."""

import threading
from unittest.mock import patch

import pytest
import torch
from tiny_runs import metrics, run, same_bits, save_picture

from core.errors import ConfigError, DataError
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace
from core.samples.load import load_base
from core.training import class_images
from core.training.report import Report

PRIOR = {"with_prior_preservation": True, "class_prompt": "a cat", "num_class_images": 3, "max_train_steps": 1}


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """The seeds of every class picture that is drawn."""
    seeds, plain = [], class_images.generate

    def generate(family, prompts, asked, recipe, *, on_step):
        seeds.extend(asked)
        yield from plain(family, prompts, asked, recipe, on_step=on_step)

    monkeypatch.setattr(class_images, "generate", generate)
    return seeds


@pytest.fixture
def own(tmp_path):
    """A folder of the user's with two class pictures."""
    folder = tmp_path / "own"
    folder.mkdir()
    for seed in range(2):
        save_picture(folder / f"{seed}.png", 50 + seed)
    return folder


def contents(folder):
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.png")}


def kept(runs_dir):
    return sorted((runs_dir.parent / "class_images").rglob("*.png"))


def test_they_are_drawn_once_and_shared(trained, drawn, runs_dir):
    trained("first", **PRIOR)
    before = contents(runs_dir.parent / "class_images")
    assert len(drawn) == len(set(drawn)) == 3
    trained("second", scheduled_sampling_max_step_offset=2, scheduled_sampling_probability=1.0, **PRIOR)
    assert len(drawn) == 3
    assert contents(runs_dir.parent / "class_images") == before


def test_only_missing_ones_are_drawn_and_the_first_stay(trained, drawn, runs_dir):
    trained("first", **PRIOR)
    before = contents(runs_dir.parent / "class_images")
    trained("second", **{**PRIOR, "num_class_images": 5})
    assert len(drawn) == 5
    after = contents(runs_dir.parent / "class_images")
    assert before.items() <= after.items()
    next(iter(kept(runs_dir))).unlink()
    trained("third", **{**PRIOR, "num_class_images": 5})
    assert len(drawn) == 6
    assert {path: data for path, (_, data) in contents(runs_dir.parent / "class_images").items()} == {
        path: data for path, (_, data) in after.items()
    }


@pytest.mark.parametrize(
    ("base", "changes"),
    [
        ("v_prediction", {"class_prompt": "a dog"}),
        ("v_prediction", {"seed": 7}),
        ("sample", {}),
        ("v_prediction", {"validation_num_inference_steps": 3}),
        ("v_prediction", {"validation_guidance_scale": 2.0}),
        ("v_prediction", {"resolution": 24}),
        ("v_prediction", {"mixed_precision": "bf16"}),
    ],
)
def test_whatever_would_draw_another_picture_draws_new_ones(trained, drawn, runs_dir, base, changes):
    trained("first", **PRIOR)
    before = contents(runs_dir.parent / "class_images")
    trained("second", base, **{**PRIOR, **changes})
    assert len(drawn) == 6
    after = contents(runs_dir.parent / "class_images")
    assert before.items() <= after.items()
    assert len(kept(runs_dir)) == 6
    assert len({data for _, data in after.values()}) == 6


def test_the_users_own_come_first_and_are_never_written(trained, drawn, own, runs_dir):
    before = contents(own)
    trained("first", class_data_dir=str(own), **PRIOR)
    assert len(drawn) == 1
    assert contents(own) == before
    assert sorted(path.name for path in own.iterdir()) == ["0.png", "1.png"]
    assert len(kept(runs_dir)) == 1


def test_enough_of_the_users_own_need_no_drawing(trained, drawn, own, runs_dir):
    folder = trained("first", class_data_dir=str(own), **{**PRIOR, "num_class_images": 2})
    assert drawn == []
    assert kept(runs_dir) == []
    assert metrics(folder)[0]["items"] == 4


def test_a_class_folder_that_is_missing_is_told_under_its_option(one_thread, config, runs_dir, tmp_path):
    folder = RunFolder.create(runs_dir, "run", config(class_data_dir=str(tmp_path / "gone"), **PRIOR))
    with pytest.raises(DataError, match="class_data_dir must be a folder that exists"):
        run(folder)


def test_the_adapter_has_no_part_in_them(trained, drawn, runs_dir):
    """A resumed run draws missing class pictures with the base model, as the first life would have."""
    folder = trained("first", **PRIOR)
    before = contents(runs_dir.parent / "class_images")
    for path in kept(runs_dir):
        path.unlink()
    run(folder, resume=True)
    after = contents(runs_dir.parent / "class_images")
    assert {path: data for path, (_, data) in before.items()} == {path: data for path, (_, data) in after.items()}


def test_a_job_of_its_own_draws_what_the_training_then_finds(trained, config, drawn, runs_dir):
    workspace = Workspace(runs_dir.parent)
    report = Report(RunFolder(runs_dir.parent / "class_images"), None)
    items = class_images.draw_class_images(config(**PRIOR), workspace, report)
    assert len(items) == len(drawn) == 3
    before = contents(runs_dir.parent / "class_images")
    trained("first", **PRIOR)
    assert len(drawn) == 3
    assert contents(runs_dir.parent / "class_images") == before


@pytest.mark.parametrize(("precision", "dtype"), [("no", torch.float32), ("bf16", torch.bfloat16)])
def test_they_are_drawn_in_the_runs_precision_and_the_network_is_then_what_it_was(
    config, bases, runs_dir, monkeypatch, precision, dtype
):
    seen, plain = [], class_images.generate

    def generate(family, *args, **kwargs):
        seen.append({each.dtype for each in family.network.parameters()})
        yield from plain(family, *args, **kwargs)

    monkeypatch.setattr(class_images, "generate", generate)
    chosen = config(mixed_precision=precision, **PRIOR)
    family = load_base(chosen)
    before = {name: value.clone() for name, value in family.network.state_dict().items()}
    class_images.class_items(chosen, family, runs_dir, Report(RunFolder(runs_dir), None), torch.device("cpu"))
    assert seen == [{dtype}]
    assert same_bits(before, family.network.state_dict())


def test_a_job_says_that_a_precision_is_not_to_be_had(config, runs_dir):
    report = Report(RunFolder(runs_dir), None)
    with pytest.raises(ConfigError, match="mixed_precision must be no or bf16 without a GPU"):
        class_images.draw_class_images(config(mixed_precision="fp16", **PRIOR), Workspace(runs_dir.parent), report)


def test_a_job_that_was_cut_off_goes_on_where_it_was(config, drawn, runs_dir):
    class Cut(Report):
        def progress(self, done, total):
            raise InterruptedError

    workspace = Workspace(runs_dir.parent)
    with pytest.raises(InterruptedError):
        class_images.draw_class_images(config(**PRIOR), workspace, Cut(RunFolder(runs_dir), None))
    assert len(kept(runs_dir)) == 1
    class_images.draw_class_images(config(**PRIOR), workspace, Report(RunFolder(runs_dir), None))
    assert len(kept(runs_dir)) == 3
    assert len(set(drawn)) == 3


def test_of_two_jobs_at_once_the_second_waits_and_draws_nothing(config, drawn, runs_dir):
    workspace, ended = Workspace(runs_dir.parent), []

    class Meanwhile(Report):
        """Begins a second job while the first one draws; ``check`` of the second tells that it waits."""

        def progress(self, done, total):
            if not ended:
                ended.append("begun")
                second = threading.Thread(target=go, args=(Waiting(RunFolder(runs_dir), None),))
                second.start()
                waits.wait()
                ended.append(second)

    class Waiting(Report):
        def check(self):
            waits.set()

    def go(report):
        class_images.draw_class_images(config(**PRIOR), workspace, report)

    waits = threading.Event()
    with patch.object(class_images, "WAIT_SECONDS", 0.01):
        go(Meanwhile(RunFolder(runs_dir), None))
        ended[1].join()
    assert len(drawn) == len(set(drawn)) == 3


def test_a_job_without_prior_preservation_is_refused(config, runs_dir):
    with pytest.raises(ConfigError, match="with_prior_preservation must be true for class pictures to be drawn"):
        class_images.draw_class_images(config(), Workspace(runs_dir.parent), Report(RunFolder(runs_dir), None))


def test_another_number_of_threads_finds_the_same_pictures(trained, drawn):
    """The fingerprint is of bits: a sum of floats would depend on how it is split."""
    trained("first", **PRIOR)
    torch.set_num_threads(2)
    trained("second", **PRIOR)
    assert len(drawn) == 3


def test_other_weights_draw_other_pictures(config, drawn, runs_dir):
    chosen = config(**PRIOR)
    for family in (load_base(chosen), _changed(load_base(chosen))):
        class_images.class_items(chosen, family, runs_dir, Report(RunFolder(runs_dir), None), torch.device("cpu"))
    assert len(drawn) == 6
    assert len({path.parent for path in runs_dir.rglob("*.png")}) == 2


def test_of_more_than_enough_of_the_users_own_the_first_are_taken(config, own, runs_dir):
    chosen = config(class_data_dir=str(own), **{**PRIOR, "num_class_images": 1})
    items = class_images.class_items(
        chosen, load_base(chosen), runs_dir, Report(RunFolder(runs_dir), None), torch.device("cpu")
    )
    assert [item.name for item in items] == ["0.png"]


def _changed(family):
    with torch.no_grad():
        next(family.network.parameters()).add_(1.0)
    return family
