"""Thousands of configurations by every way in: what is valid trains, what is not gets sentences, nothing is kept."""

import copy
import random
from dataclasses import dataclass
from pathlib import Path

import pytest
from garbage import SPECS, as_json, as_toml, flat_values, tangled
from hostile_input import held, sentences
from tiny_checkpoint import KINDS
from tiny_runs import SIDE, alone, reset_accelerate

from app.form import marks, to_input, try_config, values_of
from app.paths import AllowedPaths
from app.workbench import Workbench
from core.config.flat import UNSET_WORDS, flatten, parse_config
from core.config.paths import PATH_OPTIONS
from core.config.presets import load_preset, resolve_config
from core.config.run import RunConfig
from core.config.saved import load_config, save_config
from core.config.table import value_text
from core.errors import ConfigError, WorkbenchError
from core.models.stable_diffusion import StableDiffusion
from core.runs.folder import RunFolder
from core.runs.workspace import Workspace
from core.training import build as building
from core.training.build import build, make_accelerator
from core.training.loop import Loop
from core.training.report import Report

SHORT, LONG = 300, 5000
CHEAP = {
    "resolution": SIDE, "num_class_images": 2, "train_batch_size": 2, "gradient_accumulation_steps": 2, "rank": 8,
    "drift_pairs": 2, "validation_num_inference_steps": 8, "num_validation_images": 1,
}  # fmt: skip
"""Most of an option that is built here: it costs memory or minutes beyond, and a tiny network shows no more by it."""


@dataclass
class Ways:
    """Every way by which values become a configuration."""

    folder: Path
    workbench: Workbench
    bases: tuple[str, ...]

    def of(self, flat: dict, table: dict):
        """Name of each way that can carry the values, and what to call."""
        texts = {"flat.json": as_json(flat), "nested.json": as_json(table), "file.toml": as_toml(flat)}
        for name, text in texts.items():
            if text is not None:
                (self.folder / name).write_text(text, encoding="utf-8")
                yield name, lambda name=name: resolve_config(self.folder / name)
        words = {name: value_text(tuple(value) if isinstance(value, list) else value) for name, value in flat.items()}
        yield "set", lambda: resolve_config("demo", overrides=words)
        yield "page", lambda: self.form(flat)
        yield "import", lambda: self.workbench.import_text(as_json(table))

    def form(self, flat: dict) -> RunConfig:
        """The values put into the fields of the page, those that are no option left out."""
        fields = dict(zip(SPECS, values_of(load_preset("demo").config), strict=True))
        fields |= {name: shown(name, value) for name, value in flat.items() if name in SPECS}
        config, problems = try_config(list(fields.values()), self.workbench.paths)
        if config is None:
            marks(problems).encode()
            raise ConfigError(problems)
        return config


def shown(name, value):
    """What a field of the page holds for a value; garbage is sent as it is, as a program would."""
    try:
        return to_input(SPECS[name], value)
    except (TypeError, ValueError):
        return value


@pytest.fixture(scope="module")
def families(bases):
    """A loaded base model of each kind; copies of it stand in for loading it again."""
    return {str(bases[kind]): StableDiffusion.load(str(bases[kind])) for kind in KINDS}


@pytest.fixture
def ways(tmp_path, bases, pictures, families, monkeypatch):
    def load(config):
        return copy.deepcopy(families[config.model.pretrained_model_name_or_path])

    monkeypatch.setattr(building, "load_base", load)
    allowed = [next(iter(bases.values())).parent, pictures]
    workspace = Workspace(tmp_path / "workspace")
    return Ways(tmp_path, Workbench(workspace, AllowedPaths(workspace.root, allowed)), tuple(families))


def outcome(action):
    """The configuration, or the names of what is wrong; anything else that is raised ends the test."""
    try:
        return action()
    except WorkbenchError as error:
        return set(sentences(error))


def says_unset(flat: dict) -> bool:
    """Whether a text is a word that means unset where it is typed, so that the ways may differ."""
    return any(isinstance(value, str) and value.strip().lower() in UNSET_WORDS for value in flat.values())


def is_elsewhere(found: object) -> bool:
    """Whether nothing is wrong but a path that the page may not use."""
    return isinstance(found, set) and found <= PATH_OPTIONS


def train_one_step(config: RunConfig, folder: Path) -> bool:
    """Builds it and takes an optimizer step, with the costly options cut; False where a sentence refused it."""
    flat = flatten(config)
    most = {name: min(flat[name], limit) for name, limit in CHEAP.items()}
    reset_accelerate()
    try:
        cut = parse_config({**flat, **most, "placebo_of": None})
        run = RunFolder.create(folder / "workspace" / "runs", "run", cut)
        report = Report(run, None)
        parts = build(cut, folder.parent / "class_images", report, make_accelerator(cut))
        Loop(run, parts, report).take_step()
        report.close()
    except WorkbenchError as error:
        sentences(error)
        return False
    return True


def fuzz(ways, fixed, count, seed, built):
    """Runs `count` configurations and trains every `built`-th valid one; how many were valid, how many trained."""
    dice, valid, trained = random.Random(seed), 0, 0
    with alone():
        for number in range(count):
            flat = flat_values(dice, fixed(dice))
            table = tangled(dice, flat)
            found = {way: outcome(action) for way, action in ways.of(flat, table)}
            strict = found["flat.json"]
            assert isinstance(strict, set | RunConfig)
            if "file.toml" in found:
                assert found["file.toml"] == strict, flat
            if isinstance(strict, RunConfig):
                if not says_unset(flat):
                    assert found["set"] == strict, flat
                    assert table != flat or found["import"] == strict or is_elsewhere(found["import"]), flat
                valid += 1
                save_config(strict, ways.folder / "again.json")
                assert load_config(ways.folder / "again.json") == strict
                if valid % built == 0 and strict.model.pretrained_model_name_or_path in ways.bases:
                    trained += train_one_step(strict, ways.folder / f"{number}")
    return valid, trained


def chosen(bases, pictures):
    """What lets most configurations be trained: a base model that is here, and pictures."""

    def fixed(dice):
        return {
            "pretrained_model_name_or_path": str(bases[dice.choice(KINDS)]), "instance_data_dir": str(pictures),
            "family": "stable_diffusion", "class_data_dir": None, "revision": None, "variant": None,
        }  # fmt: skip

    return fixed


@pytest.mark.filterwarnings("ignore")
def test_hundreds_of_configs_by_every_way_end_in_a_training_step_or_in_sentences(ways, bases, pictures):
    valid, trained = fuzz(ways, chosen(bases, pictures), SHORT, 1, built=8)
    assert SHORT / 10 < valid < SHORT * 0.9
    assert trained >= valid / 8 / 2


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore")
def test_five_thousand_configs_by_every_way_leave_nothing_behind(ways, bases, pictures):
    """Files and tensors are counted after the first tenth, when all that is made once is made, and at the end."""
    fixed = chosen(bases, pictures)
    fuzz(ways, fixed, LONG // 10, 2, built=1)
    before = held()
    valid, trained = fuzz(ways, fixed, LONG - LONG // 10, 3, built=1)
    after = held()
    assert LONG / 10 < valid < LONG * 0.9
    assert trained >= valid / 2
    assert after["files"] <= before["files"]
    assert after["tensors"] <= before["tensors"] + 50
    assert after["objects"] <= before["objects"] * 1.02
