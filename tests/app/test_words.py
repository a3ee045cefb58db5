"""Pictures of a folder, checks before a start, and the sentences on what is in force."""

import os
import shutil
import threading
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from app.datasets import advice, keep_upload, read_folder, thumbnail, warnings_of
from app.design import TWO_ARMS, Design
from app.hub import Hub
from app.paths import AllowedPaths
from app.preflight import preflight
from app.sentences import in_force
from app.tabs.data import show_listing
from core.errors import DataError, Problem
from core.models.fetching import Missing
from core.runs.folder import RunFolder
from core.runs.liveness import Identity
from core.runs.lock import record_launch
from tests.support.fabricated import changed


def levels(config, workspace, problems=(), mode="ab"):
    return {check.title: check for check in preflight(config, problems, workspace, Design(mode))}


def test_a_demo_in_a_fresh_workspace_may_start(workspace, demo):
    assert [check.title for check in levels(demo, workspace).values() if check.level == "fail"] == []


def test_each_thing_that_prevents_a_start_is_told_with_what_to_do(workspace, demo, tmp_path):
    config = changed(demo, instance_data_dir=str(tmp_path / "none"), pretrained_model_name_or_path=str(tmp_path))
    found = levels(config, workspace)
    assert found["Pictures"].level == found["Base model"].level == "fail"
    assert "none" in found["Pictures"].text
    assert "check the path" in found["Base model"].text


def test_a_form_with_problems_fails_with_each_of_them(workspace):
    problems = [Problem("rank", "rank must be 1"), Problem("seed", "seed must be 2")]
    checks = preflight(None, problems, workspace, TWO_ARMS)
    assert [check.text for check in checks if check.level == "fail"] == ["rank must be 1", "seed must be 2"]


def test_arms_that_are_alike_fail_and_a_single_run_has_none(workspace, demo):
    off = changed(demo, scheduled_sampling_max_step_offset=0)
    assert levels(off, workspace)["Arms"].level == "fail"
    assert "Arms" not in levels(off, workspace, mode="single")


def test_a_hub_model_is_a_note_and_no_prompts_are_one(workspace, demo, monkeypatch):
    config = changed(demo, pretrained_model_name_or_path="somebody/model", variant="fp16", validation_prompts=())
    monkeypatch.setattr("app.preflight.HUB", Hub(lambda *model: Missing(*model[:2], ("a", "b"), ("b",), 5 * 10**8)))
    found = levels(config, workspace)
    assert found["Base model"].level == found["Sample prompts"].level == "warn"
    assert "1 files, 0.50 GB are missing" in found["Base model"].text
    assert found["Base model"].text.endswith("python -m core fetch somebody/model --variant fp16")


def test_a_hub_model_that_is_whole_here_passes(workspace, demo, monkeypatch):
    monkeypatch.setattr("app.preflight.HUB", Hub(lambda *model: Missing(*model[:2], ("a",), (), 0)))
    config = changed(demo, pretrained_model_name_or_path="somebody/model")
    assert levels(config, workspace)["Base model"].level == "pass"


def test_without_an_answer_of_the_hub_the_size_is_not_known(workspace, demo, monkeypatch):
    def offline(*_model):
        raise DataError([Problem("x", "the hub cannot be reached")])

    config = changed(demo, pretrained_model_name_or_path="somebody/model")
    never = threading.Event()
    for ask, why in ((offline, "cannot be reached"), (lambda *_model: never.wait(), "has not answered yet")):
        hub = Hub(ask)
        monkeypatch.setattr(hub, "missing", partial(hub.missing, patience=5.0 if ask is offline else 0.01))
        monkeypatch.setattr("app.preflight.HUB", hub)
        check = levels(config, workspace)["Base model"]
        assert check.level == "warn"
        assert f"is not known: the hub {why}" in check.text
        assert "python -m core fetch somebody/model" in check.text
    never.set()


def test_a_single_file_needs_itself_and_its_folder(workspace, demo, tmp_path):
    file, folder = tmp_path / "cats.safetensors", tmp_path / "lent"
    single = {"pretrained_model_name_or_path": str(file), "single_file_config": str(folder)}
    config = changed(demo, **single)
    assert "pretrained_model_name_or_path must be a file" in levels(config, workspace)["Base model"].text
    file.touch()
    assert "single_file_config must be a folder" in levels(config, workspace)["Base model"].text
    folder.mkdir()
    (folder / "model_index.json").write_text("{}")
    assert levels(config, workspace)["Base model"].level == "pass"


def test_a_second_training_is_named(workspace, demo):
    run = RunFolder.create(workspace.runs_dir, "Busy", demo)
    record_launch(workspace.root, 'run "busy"', run.path, Identity.of(os.getppid()))
    check = levels(demo, workspace)["One training at a time"]
    assert check.level == "fail"
    assert "busy" in check.text


def test_a_workspace_that_cannot_be_written_fails(workspace, demo):
    shutil.rmtree(workspace.runs_dir)
    workspace.runs_dir.write_text("in the way")
    assert levels(demo, workspace)["Workspace"].level == "fail"


def test_the_listing_shows_each_exact_prompt_and_where_it_comes_from(pictures):
    html = show_listing(AllowedPaths(pictures), str(pictures), "a sks cat", 64)
    assert html.count("<img") == 4
    assert html.count("a sks cat</q>") == 3
    assert "a sks cat asleep</q><small>from cat 1.txt" in html
    assert "notes.pdf" in html
    assert "will be enlarged" in html


def test_nothing_of_a_users_folder_is_written_or_served(pictures):
    before = {path: path.stat().st_mtime_ns for path in pictures.iterdir()}
    html = show_listing(AllowedPaths(pictures), str(pictures), "a sks cat", 64)
    assert {path: path.stat().st_mtime_ns for path in pictures.iterdir()} == before
    assert "file=" not in html


def test_an_unreadable_picture_and_a_bad_caption_are_told_at_once(pictures):
    (pictures / "cat 0.png").write_bytes(b"no picture")
    (pictures / "cat 2.txt").write_bytes(b"caf\xe9")
    html = show_listing(AllowedPaths(pictures), str(pictures), "a sks cat", 64)
    assert "cat 0.png" in html
    assert "cat 2.txt" in html


@pytest.mark.parametrize("folder", ["", "   "])
def test_no_folder_says_what_to_do(folder, tmp_path):
    assert "4 or more" in show_listing(AllowedPaths(tmp_path), folder, "x", 64)


def test_file_names_and_captions_are_escaped(pictures):
    (pictures / "cat 1.txt").write_text("<img src=x onerror=alert(1)>")
    assert "<img src=x" not in show_listing(AllowedPaths(pictures), str(pictures), "<b>bold</b>", 64)


def test_few_pictures_and_captions_are_pointed_out(pictures):
    (pictures / "cat 3.png").unlink()
    lines = advice(read_folder(pictures, "x"))
    assert any("3 pictures" in line for line in lines)
    assert any("1 of 3" in line for line in lines)


def test_long_pictures_are_pointed_out(pictures):
    notes = warnings_of(read_folder(pictures, "x"), 16)
    assert [path.name for path, lines in notes.items() if lines] == ["cat 0.png"]


def test_an_upload_is_copied_under_safe_names_and_never_overwrites(tmp_path, pictures):
    sources = sorted(pictures.iterdir())
    first = keep_upload(tmp_path / "sets", "My Cat!", sources)
    second = keep_upload(tmp_path / "sets", "My Cat!", sources)
    assert (first.name, second.name) == ("my-cat", "my-cat-2")
    assert [path.name for path in sorted(first.iterdir())] == [
        "cat-0.png",
        "cat-1.png",
        "cat-1.txt",
        "cat-2.png",
        "cat-3.png",
    ]
    assert read_folder(first, "x").items[1].prompt == "a sks cat asleep"


def test_an_upload_without_pictures_or_with_a_broken_one_keeps_nothing(tmp_path, pictures):
    (pictures / "cat 0.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"cat 0\.png"):
        keep_upload(tmp_path / "sets", "x", sorted(pictures.iterdir()))
    with pytest.raises(DataError, match="at least one picture"):
        keep_upload(tmp_path / "sets", "x", [pictures / "notes.pdf"])
    assert not (tmp_path / "sets").exists()


def test_thumbnails_are_small_and_follow_the_file(tmp_path):
    path = Path(tmp_path / "a.png")
    Image.new("RGB", (3000, 2000), "red").save(path)
    first = thumbnail(path, 1.0)
    assert len(first) < 4000
    Image.new("RGB", (30, 20), "blue").save(path)
    assert thumbnail(path, 1.0) == first != thumbnail(path, 2.0)


def test_rollout_that_is_off_says_that_the_rest_is_kept(demo):
    assert any("kept" in line for line in in_force(changed(demo, scheduled_sampling_max_step_offset=0)))


def test_the_ramp_is_told_with_where_it_begins_and_ends(demo):
    config = changed(
        demo,
        scheduled_sampling_ramp_steps=100,
        scheduled_sampling_start_step=50,
        scheduled_sampling_ramp_shape="cosine",
    )
    assert in_force(config)[0] == (
        "No rollout before step 50; then the probability goes along a cosine from 0 to 0.5, reached at step 150."
    )


def test_a_ramp_that_the_training_never_ends_says_how_far_it_gets(demo):
    config = changed(demo, max_train_steps=300, scheduled_sampling_ramp_steps=600, scheduled_sampling_prob_end=1.0)
    assert in_force(config)[0].endswith("At the last step it is 0.5.")


def test_short_and_long_rollouts_are_pointed_out(demo):
    short = changed(demo, scheduled_sampling_stride=1)
    long = changed(demo, scheduled_sampling_stride=125)
    assert any("expect little effect. Stride 49" in line for line in in_force(short))
    assert any("wash out" in line for line in in_force(long))
    assert not any("wash out" in line or "little effect" in line for line in in_force(demo))


def test_settings_without_effect_are_told(demo):
    lines = in_force(changed(demo, scheduled_sampling_sampler="rk4"))
    assert any("4 times" in line for line in lines)
    assert any("order is not used" in line for line in lines)


def test_probability_one_leaves_some_teacher_forced_and_says_so(demo):
    assert any("1 in 4" in line for line in in_force(demo))
