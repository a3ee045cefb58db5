"""Class pictures: drawn once by the base model, shared by all runs of a workspace; the user's own come first."""

import pytest
from tiny_runs import metrics, run, save_picture

from core.errors import DataError
from core.runs.folder import RunFolder
from core.training import class_images

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
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.*")}


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
