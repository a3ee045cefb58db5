"""Each optimizer trains, resumes bit for bit, and is refused with what to install where it is not there."""

from importlib.util import find_spec
from types import SimpleNamespace
from unittest.mock import patch

import pytest
import torch
from tiny_runs import adapter, metrics, run, same_bits
from torch import nn

from core.config.in_force import notes_of
from core.config.optimizers import EXTRAS
from core.config.supported import check_supported
from core.config.training import TrainingOptions
from core.errors import ConfigError
from core.runs.doctor import installation_checks
from core.runs.folder import RunFolder
from core.training.checkpoints import list_checkpoints
from core.training.optimizers import make_optimizer, read_state, state_bytes, try_optimizer, write_state

CPU = torch.device("cpu")
NAMES = [
    pytest.param(name, marks=pytest.mark.skipif(
        name in EXTRAS and find_spec(EXTRAS[name][0]) is None, reason=f"{name} is not installed"
    ))
    for name in ("adamw", *EXTRAS)
]  # fmt: skip


def trained_matrices(name: str, steps: int):
    """Two matrices, one large enough for 8 bits, after some steps towards zero."""
    generator = torch.Generator().manual_seed(0)
    matrices = [nn.Parameter(torch.randn(size, 64, generator=generator)) for size in (8, 128)]
    optimizer = make_optimizer(TrainingOptions(optimizer=name, learning_rate=0.1), matrices)
    for _ in range(steps):
        take_step(matrices, optimizer)
    return matrices, optimizer


def take_step(matrices, optimizer) -> None:
    sum(matrix.square().sum() for matrix in matrices).backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_descends_and_goes_on_bit_for_bit_from_its_saved_state(name):
    matrices, optimizer = trained_matrices(name, 5)
    tensors, numbers = read_state(optimizer)
    values = [matrix.detach().clone() for matrix in matrices]
    others, other = trained_matrices(name, 1)
    with torch.no_grad():
        for matrix, value in zip(others, values, strict=True):
            matrix.copy_(value)
    write_state(other, tensors, numbers)
    for _ in range(5):
        take_step(matrices, optimizer)
        take_step(others, other)
    assert all(a.equal(b) for a, b in zip(matrices, others, strict=True))
    assert all(
        float(a.detach().square().sum()) < float(b.square().sum()) for a, b in zip(matrices, values, strict=True)
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_size_of_the_state_is_told_from_shapes(name):
    matrices, optimizer = trained_matrices(name, 1)
    kept = sum(tensor.numel() * tensor.element_size() for tensor in read_state(optimizer)[0].values())
    assert kept == pytest.approx(state_bytes(name, matrices), rel=0.2)  # 8 bits have tables of their own


@pytest.mark.parametrize("name", NAMES)
def test_a_run_resumes_bit_for_bit_with_every_optimizer(name, trained, config, runs_dir):
    options = {"optimizer": name, "max_train_steps": 4, "checkpointing_steps": 2, "rank": 8}
    whole = trained("whole", **options)
    cut = RunFolder.create(runs_dir, "cut", config(**options))
    cut.manifest_path.write_bytes(whole.manifest_path.read_bytes())
    first = list_checkpoints(whole.checkpoints_dir)[0]
    first.path.rename(cut.checkpoints_dir / first.path.name)
    run(cut, resume=True)
    assert same_bits(adapter(cut), adapter(whole))
    assert [line["loss"] for line in metrics(cut)] == [line["loss"] for line in metrics(whole)][2:]


def test_another_optimizers_state_is_refused():
    _, optimizer = trained_matrices("adamw", 1)
    tensors, numbers = read_state(optimizer)
    with pytest.raises(ValueError, match="shape"):
        write_state(optimizer, {**tensors, "0.exp_avg": torch.zeros(3, 3)}, numbers)
    with pytest.raises(ValueError, match="of 1 parameters instead of 2"):
        write_state(optimizer, {name: value for name, value in tensors.items() if name.startswith("0.")}, numbers)


@pytest.mark.parametrize(("name", "extra"), [("adamw_8bit", "bitsandbytes"), ("prodigy", "prodigy")])
def test_a_missing_extra_is_named_before_anything_is_loaded(name, extra, config):
    with patch("core.config.optimizers.find_spec", return_value=None):
        (problem,) = check_supported(config(optimizer=name))
        assert check_supported(config()) == []
    assert problem.option == "optimizer"
    assert f'pip install "rollout-workbench[{extra}]"' in problem.message


def test_an_optimizer_that_does_not_load_or_work_here_is_said(monkeypatch):
    options = TrainingOptions(optimizer="adamw_8bit")
    broken = patch("core.training.optimizers.import_module", side_effect=ImportError("no CUDA library"))
    with broken, pytest.raises(ConfigError, match="does not \\(no CUDA library\\); take adamw"):
        try_optimizer(options, CPU)

    class Fails(torch.optim.SGD):
        def __init__(self, parameters, **_):
            super().__init__(parameters)

        def step(self, closure=None):
            raise NotImplementedError("not on this device")

    module = SimpleNamespace(optim=SimpleNamespace(AdamW8bit=Fails))
    monkeypatch.setattr("core.training.optimizers.import_module", lambda name: module)
    with pytest.raises(ConfigError, match="works on cpu, got 'adamw_8bit' \\(not on this device\\)"):
        try_optimizer(options, CPU)


def test_prodigy_is_advised_to_take_one_as_learning_rate(config):
    (note,) = [note for note in notes_of(config(optimizer="prodigy")) if note.option == "learning_rate"]
    assert "1 is what it is made for" in note.text
    for options in ({"optimizer": "prodigy", "learning_rate": 1.0}, {}):
        assert all(note.option != "learning_rate" for note in notes_of(config(**options)))


def test_the_doctor_lists_the_extras():
    (check,) = [check for check in installation_checks() if check.title == "Extras"]
    assert all(extra in check.text for extra in ("bitsandbytes", "prodigy", "tensorboard", "trackio", "deepspeed"))
