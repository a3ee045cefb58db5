"""What a square picture does not show of the families: sides in their order, positions, shifts, and ends."""

import pytest
import torch
from tiny_families import CLASSES, save_flux

PROMPT = "a sks cat"


def seen_by(family, name, noisy):
    """What the network is given under a name for a latent."""
    told = []
    family.network.register_forward_pre_hook(
        lambda module, args, kwargs: told.append(kwargs[name]), with_kwargs=True
    )  # fmt: skip
    with torch.no_grad():
        family.predict(family.network, noisy, torch.full((len(noisy),), 500.0), family.encode_prompts([PROMPT]))
    return told[0]


def test_sdxl_says_height_before_width(family_bases):
    family = CLASSES["sdxl"].load(str(family_bases["sdxl"]))
    scale = family.pipeline.vae_scale_factor
    told = seen_by(family, "added_cond_kwargs", torch.zeros(1, 4, 8, 16))["time_ids"]
    assert told.tolist() == [[8 * scale, 16 * scale, 0, 0, 8 * scale, 16 * scale]]


def test_flux_has_a_position_for_each_row_and_column_of_tokens(family_bases):
    family = CLASSES["flux"].load(str(family_bases["flux"]))
    channels = family.pipeline.transformer.config["in_channels"] // 4
    places = seen_by(family, "img_ids", torch.zeros(1, channels, 4, 8))
    assert places.amax(dim=0).tolist() == [0, 1, 3]  # 2 rows and 4 columns of 2 × 2 latent pixels


def test_all_feed_forward_targets_of_flux_hold_the_last_layers_of_its_single_blocks(family_bases):
    family = CLASSES["flux"].load(str(family_bases["flux"]))
    found = family.lora_targets("attention+feed_forward")
    blocks = len(family.network.single_transformer_blocks)
    assert {f"single_transformer_blocks.{block}.proj_out" for block in range(blocks)} <= set(found)


@pytest.mark.parametrize(("name", "most"), [("sd3", 1.16), ("flux", 1.15)])
def test_without_its_own_ends_the_shift_is_the_pipelines(family_bases, name, most):
    family = CLASSES[name].load(str(family_bases[name]))
    config = dict(family.pipeline.scheduler.config) | {"use_dynamic_shifting": True}
    for key in ("max_shift", "base_shift", "base_image_seq_len", "max_image_seq_len"):
        config.pop(key, None)
    family.pipeline.scheduler = type("Ends", (), {"config": config})()
    size = 64 * family.resolution_multiple  # 64² tokens, the upper end
    assert family._timing(4, size)["mu"] == pytest.approx(most)


def test_a_flux_that_is_told_its_guidance_reads_twice_as_much_of_a_prompt(family_bases, tmp_path):
    told = CLASSES["flux"].load(str(family_bases["flux"])).encode_prompts([PROMPT])
    untold = CLASSES["flux"].load(str(save_flux(tmp_path / "flux", guided=False))).encode_prompts([PROMPT])
    assert told.shape[1] - untold.shape[1] == 256
