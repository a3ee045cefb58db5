"""Sample pictures found by their names."""

from core.samples.found import Spot, alt_text, find_samples, prompts_of, seeds_of, steps_of


def put(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture")


def test_pictures_come_in_the_order_of_step_prompt_and_seed(tmp_path):
    put(tmp_path, "step-000100/p00-s43.png", "step-000100/p00-s42.png", "step-000020/p01-s7.png")
    assert list(find_samples(tmp_path)) == [Spot(20, 1, 7), Spot(100, 0, 42), Spot(100, 0, 43)]
    assert find_samples(tmp_path)[Spot(20, 1, 7)] == tmp_path / "step-000020" / "p01-s7.png"


def test_other_files_are_no_samples(tmp_path):
    put(tmp_path, "step-000100/p00-s42.png.part", "step-000100/note.txt", "step-x/p00-s42.png", "p00-s42.png")
    assert find_samples(tmp_path) == {}


def test_links_lead_nowhere(tmp_path):
    put(tmp_path / "elsewhere", "step-000001/p00-s1.png")
    samples = tmp_path / "samples"
    put(samples, "step-000003/p00-s1.png")
    (samples / "step-000002").symlink_to(tmp_path / "elsewhere" / "step-000001")
    (samples / "step-000003" / "p01-s1.png").symlink_to(tmp_path / "elsewhere" / "step-000001" / "p00-s1.png")
    assert list(find_samples(samples)) == [Spot(3, 0, 1)]


def test_a_run_without_samples_has_none(tmp_path):
    assert find_samples(tmp_path / "samples") == {}


def test_what_any_run_has_is_listed_once(tmp_path):
    one, other = {Spot(0, 0, 42), Spot(100, 0, 42)}, {Spot(100, 1, 43)}
    assert (steps_of([one, other]), prompts_of([one, other]), seeds_of([one, other])) == ([0, 100], [0, 1], [42, 43])


def test_the_alternative_text_tells_prompt_arm_step_and_seed():
    assert alt_text("rollout", Spot(500, 0, 42), "a cat") == "a cat; rollout, step 500, seed 42"
