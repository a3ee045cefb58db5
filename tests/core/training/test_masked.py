"""Masks in a whole training, in both rollout modes."""

import shutil

import pytest
from PIL import Image
from tiny_runs import ROLLOUT, adapter, metrics, same_bits, save_mask


@pytest.fixture
def masked(pictures, tmp_path):
    """The pictures, each with a mask of its left half."""
    folder = shutil.copytree(pictures, tmp_path / "masked")
    for path in sorted(folder.glob("*.png")):
        save_mask(folder / f"{path.stem}-masklabel.png", Image.open(path).size)
    return str(folder)


@pytest.mark.parametrize("mode", ["fresh", "visited"])
def test_masks_count_in_both_modes_and_with_reflexflow(trained, masked, mode):
    given = {
        **ROLLOUT, "instance_data_dir": masked, "max_train_steps": 2, "scheduled_sampling_mode": mode,
        "scheduled_sampling_reflexflow": True,
    }  # fmt: skip
    plain = trained("plain", "flow_matching", **given)
    whole = trained("whole", "flow_matching", masked_loss=True, unmasked_weight=1.0, **given)
    left = trained("left", "flow_matching", masked_loss=True, unmasked_weight=0.0, **given)
    first, same, other = (metrics(folder)[0] for folder in (plain, whole, left))
    assert first["loss"] == pytest.approx(same["loss"], rel=1e-5)
    for name in ("loss", "reflexflow_direction"):
        assert other[name] != pytest.approx(first[name], rel=1e-4)
    assert not same_bits(adapter(plain), adapter(left))
