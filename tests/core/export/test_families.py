"""Every family: each format that it can have does what the run's adapter does, in a fresh process too."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_families import CLASSES, family_bases
from tiny_runs import SIDE, alone, tiny_config
from tiny_runs import run as train

from core.export.check import ask, compare, put_on
from core.export.export import _question, export_run
from core.export.formats import FORMATS, format_problem
from core.models.lora_file import read_lora
from core.models.lora_fit import load_lora
from core.runs.exported import read_exported
from core.runs.folder import RunFolder
from core.samples.load import load_base
from tests.support.exports import Silent

__all__ = ["family_bases"]

pytestmark = pytest.mark.usefixtures("one_thread")

ARCHITECTURES = {
    "sdxl": "stable-diffusion-xl-v1-base/lora",
    "sd3": "stable-diffusion-3.5-medium/lora",
    "flux": "Flux.1-dev/lora",
}
KOHYA = {"sdxl": True, "sd3": False, "flux": False}
PROMPT, STEPS = "a sks cat", 2

FRESH = """
import sys, torch
from diffusers import DiffusionPipeline
torch.set_num_threads(1)
drawn = []
for place in range(2, len(sys.argv), 2):
    pipe = DiffusionPipeline.from_pretrained(sys.argv[place])
    pipe.load_lora_weights(sys.argv[place + 1])
    drawn.append(pipe("a sks cat", num_inference_steps=2, height=16, width=16, output_type="latent",
                      generator=torch.Generator().manual_seed(1)).images)
torch.save(drawn, sys.argv[1])
"""


def formats_of(family):
    return [format for format in FORMATS.values() if format_problem(format.name, family) is None]


@pytest.fixture(scope="module")
def runs(bases, pictures, family_bases, tmp_path_factory) -> dict[str, RunFolder]:
    """A short training of each family; its alpha is not its rank."""
    root, made = tmp_path_factory.mktemp("families") / "runs", {}
    for family, base in family_bases.items():
        config = tiny_config(
            bases, pictures, base, family=family, rank=2, lora_alpha=3.0, lora_targets="all", learning_rate=0.1,
            max_train_steps=2, validation_num_inference_steps=STEPS,
        )  # fmt: skip
        with alone():
            made[family] = RunFolder.create(root, family, config)
            train(made[family])
    return made


@pytest.fixture
def told(bases, pictures, family_bases, tmp_path):
    """``told(family)``: the same with text encoders that were trained far more than the network."""
    places = {"stable_diffusion": bases["v_prediction"], **family_bases}

    def make(family: str) -> RunFolder:
        config = tiny_config(
            bases, pictures, places[family], family=family, rank=2, lora_alpha=3.0, learning_rate=1e-3,
            text_encoder_lr=0.3, train_text_encoder=True, max_train_steps=2, validation_num_inference_steps=STEPS,
        )  # fmt: skip
        folder = RunFolder.create(tmp_path / "told" / "runs", family, config)
        train(folder)
        return folder

    return make


@pytest.mark.parametrize(
    "family", ["stable_diffusion", *(pytest.param(name, marks=pytest.mark.faults) for name in CLASSES)]
)
def test_trained_text_encoders_go_out_in_every_format(told, family, tmp_path):
    run = told(family)
    base_family = load_base(run.config())
    question = _question(run.config())
    base = ask(base_family, question, lambda: None)
    load_lora(read_lora(run.adapter_dir), base_family)
    own = ask(base_family, question, lambda: None)
    for format in formats_of(family):
        out = tmp_path / format.name
        export_run(run, format.name, out, "mine", Silent())
        assert encoders_in(out, format) == NAMES[family][format.name]
        fresh = load_base(run.config())
        put_on(fresh, format.name, out, "mine")
        for found in compare(base, own, ask(fresh, question, lambda: None)):
            assert found.change > 1e-3, (format.name, found)
            assert found.deviation < 1e-3, (format.name, found)
            assert found.amount == pytest.approx(1, abs=1e-3), (format.name, found)


def encoders_in(out: Path, format) -> set[str]:
    """How a format calls the text encoders that an export changes."""
    if format.name == "peft":
        return {path.parent.name for path in out.glob("*/adapter_model.safetensors")}
    keys = load_file(out / format.file_of("mine"))
    if format.name == "diffusers":
        return {key.partition(".text_model.")[0] for key in keys if key.startswith("text_encoder")}
    return {key.partition("text_model_encoder_layers_")[0] for key in keys if key.startswith("lora_te")}


ONE, TWO = {"text_encoder"}, {"text_encoder", "text_encoder_2"}
NAMES = {
    "stable_diffusion": {"diffusers": ONE, "peft": ONE, "kohya": {"lora_te_"}},
    "sdxl": {"diffusers": TWO, "peft": TWO, "kohya": {"lora_te1_", "lora_te2_"}},
    "sd3": {"diffusers": TWO, "peft": TWO},
    "flux": {"diffusers": ONE, "peft": ONE},
}


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory) -> dict[tuple[str, str], Path]:
    """Each run in each format that its family can have."""
    root, made = tmp_path_factory.mktemp("exports"), {}
    for family, run in runs.items():
        for format in formats_of(family):
            made[family, format.name] = root / f"{family}-{format.name}"
            export_run(run, format.name, made[family, format.name], family, Silent())
    return made


@pytest.mark.parametrize("family", CLASSES)
def test_every_format_gives_what_the_matrices_say(runs, exports, family):
    config = runs[family].config()
    base_family = load_base(config)
    base = ask(base_family, _question(config), lambda: None)
    load_lora(read_lora(runs[family].adapter_dir), base_family)
    own = ask(base_family, _question(config), lambda: None)
    for format in formats_of(family):
        fresh = load_base(config)
        put_on(fresh, format.name, exports[family, format.name], family)
        for found in compare(base, own, ask(fresh, _question(config), lambda: None)):
            assert found.change > 1e-3, (format.name, found)
            assert found.deviation < 1e-3, (format.name, found)
            assert found.amount == pytest.approx(1, abs=1e-3), (format.name, found)


def test_kohyas_keys_are_for_unets(exports):
    assert {family: (family, "kohya") in exports for family in CLASSES} == KOHYA
    tensors = load_file(exports["sdxl", "kohya"] / "sdxl.safetensors")
    assert all(key.startswith("lora_unet_") for key in tensors)
    assert {tensor.item() for key, tensor in tensors.items() if key.endswith(".alpha")} == {3.0}


@pytest.mark.parametrize("family", CLASSES)
def test_the_architecture_is_that_of_the_family(exports, family):
    for format in formats_of(family):
        path = exports[family, format.name] / FORMATS[format.name].file_of(family)
        with safe_open(path, framework="numpy") as file:
            assert file.metadata()["modelspec.architecture"] == ARCHITECTURES[family]


@pytest.mark.parametrize("family", CLASSES)
def test_what_was_measured_is_on_the_card(exports, family):
    for format in formats_of(family):
        folder = exports[family, format.name]
        found = read_exported(folder)
        assert all(each.text in (folder / "README.md").read_text() for each in found.measured)


def test_a_fresh_process_that_knows_diffusers_alone_draws_the_same(runs, exports, finished, tmp_path):
    for name in ("diffusers", "kohya"):
        exports["stable_diffusion", name] = tmp_path / name
        export_run(finished, name, tmp_path / name, "stable_diffusion", Silent())
    runs = {**runs, "stable_diffusion": finished}
    files = {key: exports[key] / FORMATS[key[1]].file_of(key[0]) for key in exports if key[1] != "peft"}
    base_of = {family: run.config().model.pretrained_model_name_or_path for family, run in runs.items()}
    words = [str(word) for (family, _), file in files.items() for word in (base_of[family], file)]
    subprocess.run([sys.executable, "-c", FRESH, str(tmp_path / "drawn.pt"), *words], check=True, cwd=tmp_path)
    drawn = torch.load(tmp_path / "drawn.pt", weights_only=True)
    assert len(drawn) == len(files) == 6
    for (family, _), found in zip(files, drawn, strict=True):
        base = load_base(runs[family].config())
        load_lora(read_lora(runs[family].adapter_dir), base)
        own = base.pipeline(
            PROMPT, num_inference_steps=STEPS, height=SIDE, width=SIDE, output_type="latent",
            generator=torch.Generator().manual_seed(1),
        ).images  # fmt: skip
        assert torch.allclose(found, own, atol=1e-3), family
