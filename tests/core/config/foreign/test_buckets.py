"""Buckets and masks of other tools: what they become here, and that they come back out."""

import json

import pytest

from core.config.flat import flatten
from core.config.foreign import import_file, import_text
from core.config.foreign.buckets import sizes_of_area, sizes_of_shapes, written
from core.config.foreign.simpletuner import IN_BACKENDS, UNSAID, write
from core.config.foreign.simpletuner_keys import SIMPLETUNER_KEYS
from core.config.spec import option_specs
from core.data.buckets import parse_buckets

KOHYA = {
    "pretrained_model_name_or_path": "some/model",
    "train_data_dir": "dogs",
    "network_module": "networks.lora",
    "max_train_steps": 100,
}
TUNER = {
    "model_family": "sd1x",
    "pretrained_model_name_or_path": "some/model",
    "max_train_steps": 100,
    "data_backend_config": "sets.json",
}
SUBJECT = {"id": "cat", "instance_data_dir": "cats", "instance_prompt": "sks cat", "resolution": 512}


def kohya(**keys):
    taken = import_text(json.dumps({**KOHYA, **keys}), "config.json", "kohya")
    return flatten(taken.completed(None, {"instance_prompt": "sks dog"}).config())


@pytest.fixture
def tuner(tmp_path):
    """``tuner(sets, **keys)``: the import of a config beside a list of data sets."""

    def take(sets, **keys):
        (tmp_path / "sets.json").write_text(json.dumps(sets))
        (tmp_path / "config.json").write_text(json.dumps({**TUNER, **keys}))
        return import_file(tmp_path / "config.json")

    return take


def test_sizes_have_the_area_or_less_and_stand_in_both_orientations():
    sizes = sizes_of_area(512 * 512, 256, 1024, 64)
    assert (512, 512) in sizes
    assert all(width * height <= 512 * 512 and width % 64 == height % 64 == 0 for width, height in sizes)
    assert {(height, width) for width, height in sizes} == set(sizes)
    assert max(map(max, sizes)) == 1024
    assert parse_buckets(written(sizes)) == sizes


@pytest.mark.parametrize(
    "numbers", [(0, 256, 1024, 64), (512**2, 1024, 256, 64), (512**2, 256, 1024, 12), (512**2, 8, 9000, 8)]
)
def test_numbers_that_allow_no_list_give_none(numbers):
    assert sizes_of_area(*numbers) == ()


def test_shapes_get_the_size_of_the_area_that_is_nearest():
    assert sizes_of_shapes([1.0, 1152 / 896, 0.5], 1024**2, 64) == ((1024, 1024), (1152, 896), (704, 1472))
    assert sizes_of_shapes([0.0], 1024**2, 64) == sizes_of_shapes([], 1024**2, 64) == ()


def test_kohyas_buckets_are_written_out_for_its_resolution_and_its_bounds():
    sizes = parse_buckets(kohya(enable_bucket=True, resolution="768,768", min_bucket_reso=384)["aspect_ratio_buckets"])
    assert (768, 768) in sizes
    assert (min(map(min, sizes)), max(map(max, sizes))) == (384, 1024)
    assert kohya(enable_bucket=False)["aspect_ratio_buckets"] is None
    assert kohya()["aspect_ratio_buckets"] is None


def test_kohyas_masks_count_nothing_of_the_black():
    assert (kohya(masked_loss=True)["masked_loss"], kohya(masked_loss=True)["unmasked_weight"]) == (True, 0.0)
    assert kohya()["masked_loss"] is False


@pytest.mark.parametrize(
    ("own", "count"),
    [
        ({"crop": True, "crop_aspect": "square"}, None),
        ({"crop": True}, None),
        ({}, None),
        ({"crop": True, "crop_aspect": "closest", "crop_aspect_buckets": [1.0, 0.75, 1.5]}, 3),
        ({"crop": True, "crop_aspect": "preserve"}, 17),
        ({"crop": False}, 17),
        ({"crop": False, "resolution_type": "pixel"}, None),
    ],
)
def test_a_data_set_that_keeps_shapes_gets_buckets_of_its_area(tuner, own, count):
    found = tuner([{**SUBJECT, **own}])
    text = found.config().data.aspect_ratio_buckets
    assert (text if text is None else len(parse_buckets(text))) == count
    told = [row for row in found.findings if row.key.startswith("data_backend_config[0].crop")]
    assert all(row.words for row in told)


@pytest.mark.parametrize(
    "own", [{"crop": False}, {"crop": True, "crop_aspect": "closest", "crop_aspect_buckets": [1, 0.75]}]
)
def test_buckets_that_were_not_changed_go_out_as_they_came(tuner, own):
    first = tuner([{**SUBJECT, **own}])
    made = write(first.config(), first.kept, first.files)
    assert made.backends[0].items() >= own.items()
    assert tuner(made.backends).config() == first.config()


def test_other_buckets_go_out_as_shapes_and_come_back(tuner):
    config = tuner([SUBJECT]).completed(None, {"aspect_ratio_buckets": "512,512;448,576"}).config()
    made = write(config, {}, {})
    assert tuner(made.backends).config().data.aspect_ratio_buckets == "512,512;448,576"
    assert any(line.startswith("aspect_ratio_buckets goes out as shapes") for line in made.losses)
    square = tuner([{**SUBJECT, "crop": False}]).completed(None, {"aspect_ratio_buckets": None})
    back = write(square.config(), square.kept, square.files)
    assert tuner(back.backends).config().data.aspect_ratio_buckets is None


def test_a_data_set_of_masks_turns_the_masked_loss_on_and_goes_back_out(tuner):
    masks = {"id": "m", "dataset_type": "conditioning", "conditioning_type": "mask", "instance_data_dir": "masks"}
    found = tuner([{**SUBJECT, "conditioning_data": "m"}, masks])
    assert (found.config().data.masked_loss, found.config().data.unmasked_weight) == (True, 0.0)
    made = write(found.config(), found.kept, found.files)
    assert made.backends[1] == masks
    assert not any("mask" in line for line in made.losses)
    assert any("masked_loss = True cannot be said there" in line for line in write(found.config(), {}, {}).losses)
    assert tuner([SUBJECT, masks]).config().data.masked_loss is False


def test_every_option_has_a_key_of_simpletuners_or_a_reason_why_it_has_none():
    said = {key.option for key in SIMPLETUNER_KEYS.values() if key.option} | IN_BACKENDS
    assert said | set(UNSAID) == set(option_specs())
    assert not said & set(UNSAID)
