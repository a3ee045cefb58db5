"""Pictures are encoded once for all runs of a workspace, and what comes from the cache is what would be made."""

import pytest
from tiny_checkpoint import save_checkpoint
from tiny_runs import adapter, metrics, same_bits, save_picture

from core.models.stable_diffusion import StableDiffusion

LOSSY = {"max_train_steps": 1, "center_crop": False, "random_flip": True}


@pytest.fixture
def calls(monkeypatch):
    """What is encoded: numbers of variants, and prompts."""
    heard = []
    for name in ("encode_pictures", "encode_prompts"):
        plain = getattr(StableDiffusion, name)

        def told(family, values, plain=plain):
            heard.append(len(values) if not isinstance(values, list) else values[0])
            return plain(family, values)

        monkeypatch.setattr(StableDiffusion, name, told)
    return heard


def test_a_second_run_encodes_nothing_and_trains_on_the_same_bits(trained, calls):
    first = trained("first", **LOSSY)
    assert calls == [2, 2, 2, 8, "a sks cat", "a red sks cat", ""]
    calls.clear()
    second = trained("second", **LOSSY)
    assert calls == []
    assert same_bits(adapter(first), adapter(second))


def test_what_was_encoded_before_makes_no_difference(trained, runs_dir, calls):
    """A run whose pictures are partly in the cache equals one that encodes them all."""
    trained("other", **{**LOSSY, "instance_prompt": "a dog"})
    partly = trained("partly", **LOSSY)
    for path in (runs_dir.parent / "cache").rglob("*.safetensors"):
        path.unlink()
    whole = trained("whole", **LOSSY)
    assert same_bits(adapter(partly), adapter(whole))
    assert metrics(partly)[0]["loss"] == metrics(whole)[0]["loss"]


@pytest.mark.parametrize("changes", [{"center_crop": True}, {"random_flip": False}, {"resolution": 24}])
def test_pictures_that_are_cut_otherwise_are_encoded_again(trained, calls, changes):
    trained("first", **LOSSY)
    calls.clear()
    trained("second", **{**LOSSY, **changes})
    assert [call for call in calls if isinstance(call, int)]
    assert not [call for call in calls if isinstance(call, str)]


def test_another_base_model_finds_nothing_of_this_ones(trained, calls, tmp_path):
    trained("first", **LOSSY)
    calls.clear()
    from diffusers import AutoencoderKL

    other = save_checkpoint(tmp_path / "other", "v_prediction")
    vae = AutoencoderKL.from_pretrained(other / "vae")
    vae.encoder.conv_in.bias.data[0] += 1e-3
    vae.save_pretrained(other / "vae")
    trained("second", other, **LOSSY)
    assert calls == [2, 2, 2, 8]


def test_a_damaged_entry_is_encoded_again_and_said(trained, runs_dir, calls, capsys):
    first = trained("first", **LOSSY)
    calls.clear()
    path = next((runs_dir.parent / "cache" / "latents").iterdir())
    path.write_bytes(path.read_bytes()[:-1])
    assert same_bits(adapter(first), adapter(trained("second", **LOSSY)))
    assert len(calls) == 1
    assert f"the cached {path} cannot be read, and is made again" in capsys.readouterr().out


def test_a_changed_picture_of_the_same_name_is_encoded_again(trained, calls, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    for seed in range(2):
        save_picture(mine / f"{seed}.png", seed)
    trained("first", instance_data_dir=str(mine), **LOSSY)
    calls.clear()
    save_picture(mine / "0.png", 50)
    trained("second", instance_data_dir=str(mine), **LOSSY)
    assert calls == [2]
