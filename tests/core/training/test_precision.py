"""With bf16 the frozen network is halved; what is trained, rolled out and exported stays in float32."""

import shutil

import pytest
import torch
from tiny_runs import ROLLOUT, adapter, alone, metrics, reset_accelerate, run, same_bits

from core.bench.network import demo_loop
from core.errors import ConfigError
from core.noise.denoiser import evaluation_mode
from core.rollout.samplers import SAMPLERS
from core.runs.folder import RunFolder
from core.training.build import build, make_accelerator
from core.training.checkpoints import list_checkpoints
from core.training.loop import Loop
from core.training.report import Report

BF16 = {"mixed_precision": "bf16"}


def test_the_frozen_network_is_halved_and_the_rest_is_not(one_thread, config, tmp_path):
    folder = RunFolder.create(tmp_path, "run", config(**BF16))
    report = Report(folder, None)
    parts = build(folder.config(), tmp_path / "class", report, make_accelerator(folder.config()))
    loop = Loop(folder, parts, report)
    loop.take_step()
    network = parts.family.network
    assert {p.dtype for p in network.parameters() if not p.requires_grad} == {torch.bfloat16}
    trained = [p for p in network.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.float32}
    assert {value.dtype for p in trained for value in parts.optimizer.state[p].values()} == {torch.float32}
    pictures = parts.stream.sources[0].pictures
    assert {pictures.latents.dtype, pictures.conditions.dtype} == {torch.float32}


def test_the_adapter_begins_with_the_same_values_in_both_precisions(one_thread, config, tmp_path):
    found = []
    for name, options in (("bf16", BF16), ("no", {})):
        folder = RunFolder.create(tmp_path, name, config(**options))
        reset_accelerate()
        parts = build(folder.config(), tmp_path / "class", Report(folder, None), make_accelerator(folder.config()))
        found.append({n: p.detach() for n, p in parts.family.network.named_parameters() if p.requires_grad})
    assert same_bits(*found)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_bf16_rolls_out_with_every_sampler_near_float32(sampler, trained):
    options = {**ROLLOUT, "scheduled_sampling_sampler": sampler, "max_train_steps": 1}
    full, half = (metrics(trained(name, **options, **mixed))[0] for name, mixed in (("full", {}), ("half", BF16)))
    assert half["rolled"] == full["rolled"] > 0
    assert half["loss"] == pytest.approx(full["loss"], rel=0.05)
    assert half["rollout_drift"] == pytest.approx(full["rollout_drift"], rel=0.1)


@pytest.mark.parametrize("base", ["v_prediction", "flow_matching"])
def test_bf16_trains_on_visited_states_and_with_reflexflow(base, trained):
    visited = {**ROLLOUT, "scheduled_sampling_mode": "visited"}
    assert metrics(trained("visited", base, **visited, **BF16))[-1]["trained_states"] > 2


def test_a_bf16_run_draws_probes_resumes_bit_for_bit_and_exports_float32(trained, config, runs_dir):
    options = {
        **ROLLOUT, **BF16, "validation_prompts": ("a sks cat",), "drift_pairs": 2, "drift_samples": 2,
        "max_train_steps": 4, "checkpointing_steps": 2, "gradient_checkpointing": True,
    }  # fmt: skip
    whole = trained("whole", **options)
    cut = RunFolder.create(runs_dir, "cut", config(**options))
    cut.manifest_path.write_bytes(whole.manifest_path.read_bytes())
    first = list_checkpoints(whole.checkpoints_dir)[0]
    first.path.rename(cut.checkpoints_dir / first.path.name)
    run(cut, resume=True)
    assert same_bits(adapter(cut), adapter(whole))
    assert {tensor.dtype for tensor in adapter(whole).values()} == {torch.float32}


def test_fp16_is_refused_without_a_gpu(config):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="mixed_precision must be no or bf16 without a GPU"):
        make_accelerator(config(mixed_precision="fp16"))


def test_the_embedded_base_draws_in_bf16_though_its_first_norm_sees_the_prompt_itself(tmp_path):
    with alone():
        loop = demo_loop(tmp_path, **BF16, train_batch_size=1, scheduled_sampling_max_step_offset=0)
        family = loop.parts.family
        with evaluation_mode(family.network), loop.parts.accelerator.autocast():
            drawn = family.sample(["a cat"], [1], steps=2, guidance=2.0, size=32, on_step=int)
    assert drawn.isfinite().all()


@pytest.fixture
def scaled(monkeypatch):
    """Gradients as narrow as in fp16 on a GPU, and a scaler whose first scale is too large for them."""

    def make(config, logs=None):
        accelerator = make_accelerator(config, logs)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**28, growth_interval=2)

        def unscale():  # accelerate does so with fp16 alone
            optimizer = accelerator._optimizers[0].optimizer
            for parameter in optimizer.param_groups[0]["params"]:
                parameter.grad.copy_(parameter.grad.half())
            accelerator.scaler.unscale_(optimizer)

        monkeypatch.setattr(accelerator, "unscale_gradients", unscale)
        return accelerator

    monkeypatch.setattr("core.training.run.make_accelerator", make)


@pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step:UserWarning")  # a step is a step, taken or not
@pytest.mark.parametrize("cut_after", [3, 9])  # before the first step that does not overflow, and after it
def test_a_run_whose_steps_overflow_resumes_bit_for_bit(cut_after, scaled, trained):
    options = {"max_train_steps": 12, "checkpointing_steps": 1, "checkpoints_total_limit": None, "learning_rate": 1e-3}
    folder = trained(**options)
    whole, rows = adapter(folder), metrics(folder)
    assert [row["grad_norm"] is None for row in rows[:2]] == [True, True]
    assert rows[-1]["grad_norm"] is not None
    for checkpoint in list_checkpoints(folder.checkpoints_dir):
        if checkpoint.step > cut_after:
            shutil.rmtree(checkpoint.path)
    shutil.rmtree(folder.adapter_dir)
    run(folder, resume=True)
    assert same_bits(adapter(folder), whole)
