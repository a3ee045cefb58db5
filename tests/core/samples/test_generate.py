"""Pictures from fixed seeds: the same noise in every arm, whatever the batch, and a PNG that says how it was made."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import ROLLOUT, SIDE

from core.errors import RunError
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder
from core.samples.from_run import draw
from core.samples.generate import Recipe, Sample, generate, sample_path, save_sample

RECIPE = Recipe(steps=3, guidance=3.0, size=SIDE)
PROMPTS = ("a sks cat", "a dog")
DRAWN = {"validation_prompts": PROMPTS, "num_validation_images": 2, "validation_num_inference_steps": 3}


@pytest.fixture
def family(one_thread, bases):
    return StableDiffusion.load(str(bases["v_prediction"]))


def drawn(family, prompts=PROMPTS, seeds=(1, 2), recipe=RECIPE, on_step=lambda: None):
    return list(generate(family, prompts, seeds, recipe, on_step=on_step))


def pixels(sample):
    return np.array(sample.picture).astype(int)


def test_every_prompt_is_drawn_with_every_seed(family):
    found = drawn(family)
    assert [(s.prompt_index, s.prompt, s.seed) for s in found] == [
        (0, PROMPTS[0], 1), (0, PROMPTS[0], 2), (1, PROMPTS[1], 1), (1, PROMPTS[1], 2),
    ]  # fmt: skip
    assert {s.picture.size for s in found} == {(SIDE, SIDE)}
    assert len({s.picture.tobytes() for s in found}) == 4


def test_the_same_seed_gives_the_same_picture(family):
    torch.manual_seed(1)
    first = drawn(family)
    torch.manual_seed(2)
    assert [s.picture.tobytes() for s in first] == [s.picture.tobytes() for s in drawn(family)]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_picture_does_not_depend_on_its_batch(family, batch):
    together, apart = drawn(family), drawn(family, recipe=Recipe(3, 3.0, SIDE, batch=batch))
    assert [(s.prompt, s.seed) for s in together] == [(s.prompt, s.seed) for s in apart]
    assert max(np.abs(pixels(a) - pixels(b)).max() for a, b in zip(together, apart, strict=True)) <= 1


def test_drawing_leaves_the_global_generator_alone(family):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    drawn(family)
    assert torch.equal(torch.rand(2), expected)


def test_every_sampling_step_is_told(family):
    calls = []
    drawn(family, on_step=lambda: calls.append(1))
    assert len(calls) == RECIPE.steps


def test_an_exception_within_a_step_ends_the_drawing(family):
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        drawn(family, on_step=stop)


def test_guidance_one_is_none(family):
    one, more = (drawn(family, recipe=Recipe(3, guidance, SIDE))[0] for guidance in (1.0, 5.0))
    assert not np.array_equal(pixels(one), pixels(more))


def test_no_prompts_mean_no_pictures(family):
    assert drawn(family, prompts=()) == []


def test_the_path_tells_step_prompt_and_seed(tmp_path):
    sample = Sample(3, "a cat", 42, Image.new("RGB", (8, 8)))
    assert sample_path(tmp_path, 500, sample) == tmp_path / "step-000500" / "p03-s42.png"


def test_the_picture_says_how_it_was_made(tmp_path):
    sample = Sample(0, 'a "süßer" cat\nat night', 42, Image.new("RGB", (8, 8), "red"))
    path = save_sample(tmp_path, 7, sample, Recipe(20, 4.0, 8), run="demo")
    with Image.open(path) as picture:
        picture.load()
        record = json.loads(picture.text["rollout"])
        parameters = picture.text["parameters"]
        assert picture.getpixel((0, 0)) == (255, 0, 0)
    assert record["prompt"] == sample.prompt
    assert (record["seed"], record["step"], record["steps"], record["guidance"]) == (42, 7, 20, 4.0)
    assert (record["size"], record["run"]) == (8, "demo")
    assert parameters.startswith(sample.prompt + "\nSteps: 20, CFG scale: 4.0, Seed: 42, Size: 8x8")


def test_other_tools_find_sampler_and_model_in_the_parameters(trained, bases):
    folder = trained(**DRAWN)
    with Image.open(folder.samples_dir / "step-000003" / "p01-s42.png") as picture:
        picture.load()
        prompt, line = picture.text["parameters"].split("\n")
    found = dict(re.findall(r'(\w[\w ]*): ("[^"]*"|[^,]*)(?:, |$)', line))
    assert prompt == PROMPTS[1]
    assert (found["Sampler"], found["Model"], found["Steps"], found["Seed"]) == ("DDIM", "v_prediction", "3", "42")
    assert str(bases["v_prediction"].parent) not in line


def test_values_with_commas_are_quoted_and_empty_ones_left_out(tmp_path):
    sample = Sample(0, "a cat", 42, Image.new("RGB", (8, 8)))
    path = save_sample(tmp_path, 7, sample, Recipe(20, 4.0, 8), model="cats, mine")
    with Image.open(path) as picture:
        picture.load()
        assert 'Model: "cats, mine", Version' in picture.text["parameters"]
        assert "Sampler" not in picture.text["parameters"]


def test_two_arms_start_from_the_same_pictures(trained):
    off, on = trained("off", **DRAWN), trained("on", **DRAWN, **ROLLOUT)
    for name in ("p00-s42", "p00-s43", "p01-s42", "p01-s43"):
        first = [Image.open(folder.samples_dir / "step-000000" / f"{name}.png") for folder in (off, on)]
        last = [Image.open(folder.samples_dir / "step-000003" / f"{name}.png") for folder in (off, on)]
        assert first[0].tobytes() == first[1].tobytes()
        assert last[0].tobytes() != last[1].tobytes()
        assert first[0].tobytes() != last[0].tobytes()


def test_step_zero_is_the_base_model(trained, bases):
    folder = trained(**DRAWN)
    recipe = Recipe(3, folder.config().validation.validation_guidance_scale, SIDE)
    base = drawn(StableDiffusion.load(str(bases["v_prediction"])), seeds=(42, 43), recipe=recipe)
    for sample in base:
        path = sample_path(folder.samples_dir, 0, sample)
        assert Image.open(path).tobytes() == sample.picture.tobytes()


def test_a_finished_run_draws_what_its_last_step_drew(trained, tmp_path):
    folder = trained(**DRAWN)
    paths = list(draw(folder, PROMPTS, (42, 43), tmp_path / "out"))
    assert len(paths) == 4
    for path in paths:
        last = folder.samples_dir / path.relative_to(tmp_path / "out")
        difference = np.array(Image.open(path)).astype(int) - np.array(Image.open(last))
        assert np.abs(difference).max() <= 1


def test_a_run_without_an_adapter_cannot_draw(config, runs_dir, tmp_path):
    folder = RunFolder.create(runs_dir, "run", config())
    with pytest.raises(RunError, match="must be a finished run"):
        list(draw(folder, PROMPTS, (1,), tmp_path))
