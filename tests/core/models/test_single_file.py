"""A base model in one file: it is what its folder is, bit for bit, or one sentence says why it is not read."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from single_files import save_single_file
from tiny_checkpoint import save_checkpoint
from tiny_runs import ADAPTER, ROLLOUT, adapter, resume_from_the_middle, run, same_bits

from core.config.paths import base_label
from core.errors import ConfigError, DataError
from core.export.source import source_of
from core.models import single_file
from core.models.fingerprint import pictures_print, prompts_print, whole_print
from core.models.loading import load_pipeline
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder
from core.runs.measurement import measurement_key

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
BOTH = {"base": "x/c.safetensors", "single_file_config": "x"}
NETWORKS = ("unet", "vae", "text_encoder")


@pytest.fixture(scope="module")
def file(bases, tmp_path_factory):
    """The v-prediction base in one file."""
    return save_single_file(bases["v_prediction"], tmp_path_factory.mktemp("files") / "cats.safetensors")


@pytest.fixture
def changed(file, tmp_path):
    """``changed(change)``: another file, whose tensors ``change`` took away, renamed or added to."""

    def make(change):
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, tmp_path / "changed.safetensors")
        return tmp_path / "changed.safetensors"

    return make


@pytest.fixture
def copied(monkeypatch):
    """A folder's weights in memory of their own, as a file's: the last bits of a product depend on where they lie."""

    def load_copied(*args, **kwargs):
        pipeline = load_pipeline(*args, **kwargs)
        for network in (getattr(pipeline, name) for name in NETWORKS):
            weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            network.load_state_dict(weights, assign=True)
        return pipeline

    monkeypatch.setattr(single_file, "load_pipeline", load_copied)


def load(file, folder):
    return StableDiffusion.load(str(file), single_file_config=str(folder))


def refused(file, folder) -> str:
    with pytest.raises(DataError) as caught:
        load(file, folder)
    (problem,) = caught.value.problems
    assert problem.message.startswith(f"{problem.option} must ")
    assert "\n" not in problem.message
    return problem.message


def test_a_single_file_is_what_its_folder_is(bases, file):
    folder, single = StableDiffusion.load(str(bases["v_prediction"])), load(file, bases["v_prediction"])
    for name in NETWORKS:
        assert same_bits(getattr(single.pipeline, name).state_dict(), getattr(folder.pipeline, name).state_dict())
    assert single.kind == "v_prediction"
    assert torch.equal(single.schedule.alpha(torch.arange(1000)), folder.schedule.alpha(torch.arange(1000)))
    noisy, timestep = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([10.0, 900.0])
    first, second = (
        family.predict(family.network, noisy, timestep, family.encode_prompts(["a cat", ""]))
        for family in (folder, single)
    )
    assert torch.equal(first, second)
    for fingerprint in (pictures_print, prompts_print, whole_print):
        assert fingerprint(single) == fingerprint(folder)


def test_half_precision_files_are_loaded_in_float32(bases, changed):
    half = changed(lambda tensors: tensors.update({name: tensor.half() for name, tensor in tensors.items()}))
    family = load(half, bases["v_prediction"])
    assert {getattr(family.pipeline, name).dtype for name in NETWORKS} == {torch.float32}


def test_the_scheduler_is_the_folders(bases, file):
    assert load(file, bases["epsilon"]).kind == "epsilon"


def test_a_scheduler_that_is_not_what_the_file_says_is_told(bases, changed):
    says = changed(lambda tensors: tensors.update({"v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}))
    assert load(says, bases["v_prediction"]).kind == "v_prediction"
    message = refused(says, bases["epsilon"])
    assert message.startswith("single_file_config must be a folder whose scheduler has prediction_type v_prediction")
    says = changed(lambda tensors: tensors.update({"ztsnr": torch.tensor([])}))
    assert "rescale_betas_zero_snr True, as the tensor ztsnr in" in refused(says, bases["epsilon"])


@pytest.mark.parametrize("part", ["text_encoder", "vae"])
def test_a_file_without_text_encoder_or_autoencoder_takes_the_folders(bases, tmp_path, part):
    file = save_single_file(bases["v_prediction"], tmp_path / "cats.safetensors", without=(part,))
    lent = getattr(StableDiffusion.load(str(bases["v_prediction"])).pipeline, part).state_dict()
    assert same_bits(getattr(load(file, bases["v_prediction"]).pipeline, part).state_dict(), lent)
    folder = shutil.copytree(bases["v_prediction"], tmp_path / "folder")
    next((folder / part).glob("*.safetensors")).unlink()
    assert refused(file, folder).startswith("pretrained_model_name_or_path must be a single file")


def test_the_files_own_text_encoder_goes_before_the_folders(bases, file, tmp_path):
    """A folder of configurations alone is enough."""
    folder = shutil.copytree(bases["v_prediction"], tmp_path / "folder", ignore=shutil.ignore_patterns("*.safetensors"))
    assert whole_print(load(file, folder)) == whole_print(load(file, bases["v_prediction"]))


@pytest.mark.parametrize("prefix", [UNET, VAE, TEXT])
@pytest.mark.parametrize("how", ["all but one", "one", "renamed"])
def test_weights_that_are_missing_are_told_and_never_drawn(bases, changed, prefix, how):
    def change(tensors):
        own = sorted(name for name in tensors if name.startswith(prefix) and name.endswith(".weight"))
        gone = own[1:] if how == "all but one" else own[:2]
        for name in gone:
            tensor = tensors.pop(name)
            if how == "renamed":
                tensors[f"{name}.old"] = tensor

    assert "pretrained_model_name_or_path must" in refused(changed(change), bases["v_prediction"])


def test_a_file_without_a_network_is_told(bases, tmp_path):
    file = save_single_file(bases["v_prediction"], tmp_path / "cats.safetensors", without=("unet",))
    assert "has 0 of " in refused(file, bases["v_prediction"])


def test_a_text_encoder_without_its_positions_is_not_replaced_by_the_folders(bases, changed):
    """diffusers knows it by this tensor."""
    name = f"{TEXT}transformer.text_model.embeddings.position_embedding.weight"
    assert name in refused(changed(lambda tensors: tensors.pop(name)), bases["v_prediction"])


def test_the_text_encoder_of_another_kind_is_told(bases, changed):
    def change(tensors):
        for name in [name for name in tensors if name.startswith(TEXT)]:
            tensors[name.replace(f"{TEXT}transformer", f"{TEXT}model")] = tensors.pop(name)

    assert "no text encoder or one that diffusers reads" in refused(changed(change), bases["v_prediction"])


def test_a_network_with_more_layers_than_the_folder_describes_is_told(bases, changed):
    name = f"{UNET}output_blocks.4.0.in_layers.0.weight"
    message = refused(changed(lambda tensors: tensors.update({name: torch.zeros(4)})), bases["v_prediction"])
    assert "whose unet has" in message


def test_a_folder_of_other_sizes_is_told(bases, file, tmp_path):
    folder = shutil.copytree(bases["v_prediction"], tmp_path / "folder")
    config = folder / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "block_out_channels": [8, 24]}))
    assert "weights that single_file_config describes" in refused(file, folder)


@pytest.mark.parametrize("content", [b"", b"no model", "half"], ids=["empty", "no model", "half"])
def test_a_torn_file_is_told(bases, file, tmp_path, content):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content == "half" else content)
    assert refused(torn, bases["v_prediction"]).startswith("pretrained_model_name_or_path must be a single file")


def test_what_is_not_there_is_told(bases, file, tmp_path):
    assert "must be a file that exists" in refused(tmp_path / "gone.safetensors", bases["v_prediction"])
    assert refused(file, tmp_path / "gone").startswith("single_file_config must be a diffusers folder that exists")
    assert refused(file, tmp_path).startswith("single_file_config must be a diffusers folder with a model_index.json")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"base": "x/cats.safetensors"}, "single_file_config must be given for a single file"),
        ({"single_file_config": "x"}, "single_file_config must be unset for a base model that is no .safetensors file"),
        ({"base": "x/c.safetensors", "family": "sdxl"}, "single_file_config must be given for a single file"),
        ({**BOTH, "variant": "fp16"}, "variant must be unset for a single"),
        ({**BOTH, "revision": "a"}, "revision must be unset for a single"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_before_anything_is_read(config, changes, sentence):
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    (problem,) = caught.value.problems
    assert sentence in problem.message


def test_the_lent_scheduler_tells_the_kind_before_anything_is_loaded(config, bases, file):
    flow = config(file, single_file_config=str(bases["flow_matching"]))
    assert flow.flow_matching
    assert flow.last_timestep == 1000
    assert not config(file, single_file_config=str(bases["v_prediction"])).flow_matching
    with pytest.raises(ConfigError, match=r"snr_gamma must be unset for .*cats\.safetensors"):
        config(file, single_file_config=str(bases["flow_matching"]), snr_gamma=5.0)


def test_a_training_and_its_resume_end_as_those_of_the_folder(config, bases, file, runs_dir, one_thread, copied):
    prior, drawn = {"with_prior_preservation": True, "class_prompt": "a cat"}, runs_dir.parent / "class_images"
    plain = RunFolder.create(runs_dir, "folder", config(checkpointing_steps=2, **prior, **ROLLOUT))
    run(plain)
    before = sorted((path, path.stat().st_mtime_ns) for path in drawn.rglob("*.png"))
    assert len(before) == 2
    lent = {"single_file_config": str(bases["v_prediction"])}
    single = RunFolder.create(runs_dir, "single", config(file, checkpointing_steps=2, **lent, **prior, **ROLLOUT))
    run(single)
    assert same_bits(adapter(single), adapter(plain))
    assert sorted((path, path.stat().st_mtime_ns) for path in drawn.rglob("*.png")) == before
    resume_from_the_middle(single)
    assert same_bits(adapter(single), adapter(plain))
    assert (single.adapter_dir / ADAPTER).is_file()
    source = source_of(single, "cats", load(file, bases["v_prediction"]))
    assert (source.base, source.hub_base) == ("cats.safetensors", None)


def test_its_name_as_others_read_it_is_the_files_here_or_gone(file):
    assert base_label(str(file)) == base_label("models/cats.safetensors") == "cats.safetensors"


def test_a_measurement_is_of_this_file_and_this_folder(config, bases, tmp_path):
    def key():
        return measurement_key(config(tmp_path / "a.safetensors", single_file_config=str(tmp_path / "folder")))

    save_checkpoint(tmp_path / "folder")
    (tmp_path / "a.safetensors").write_bytes(b"a")
    first = key()
    (tmp_path / "b.safetensors").write_bytes(b"b")
    assert key() == first
    (tmp_path / "a.safetensors").write_bytes(b"ab")
    second = key()
    assert second != first
    (tmp_path / "folder" / "unet" / "config.json").write_text("{}")
    assert key() != second
