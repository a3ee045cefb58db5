"""LoRA files of every kind, and what a base model makes of them. Import the fixtures into a test module."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.models.stable_diffusion import StableDiffusion

ENDINGS = ("to_q", "to_out.0", "conv1", "proj_in", "q_proj", "out_proj", "fc1", "fc2")


@pytest.fixture
def family(one_thread, bases):
    return StableDiffusion.load(str(bases["v_prediction"]))


@pytest.fixture
def trained_file(trained):
    """Of a real training with alpha = rank / 2, so that the scale counts."""
    return trained(lora_alpha=1.0, rank=2, lora_dropout=0.5).adapter_dir / "pytorch_lora_weights.safetensors"


def seen(family):
    """What the base model makes of a prompt and a state."""
    condition = family.encode_prompts(["a sks cat"])
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(1, 4, 8, 8, generator=generator)
    with torch.no_grad():
        return condition, family.predict(family.network, noisy, torch.tensor([500.0]), condition)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def matrices(family, *, rank=2, text=True):
    """A random LoRA as ((part, module name), A, B), on linear and convolution layers."""
    generator = torch.Generator().manual_seed(5)
    parts = {"unet": family.network, **({"text_encoder": family.pipeline.text_encoder} if text else {})}
    for part, root in parts.items():
        for name, module in root.named_modules():
            if name.endswith(ENDINGS):
                out, *into = module.weight.shape
                down = 0.3 * torch.randn(rank, *into, generator=generator)
                up = 0.3 * torch.randn(out, rank, *[1] * (len(into) - 1), generator=generator)
                yield part, name, down, up


def kohya(family, path, *, alpha=1.0, prefix="", **more):
    """A file with kohya's keys."""
    tensors = {}
    starts = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}
    for part, name, down, up in matrices(family):
        stem = starts[part] + prefix + name.replace(".", "_")
        tensors |= {
            f"{stem}.lora_down.weight": down,
            f"{stem}.lora_up.weight": up,
            f"{stem}.alpha": torch.tensor(alpha),
        }
    save_file({**tensors, **more}, path)
    return path


def rewritten(source, path, change, metadata=None):
    """A file whose tensors were changed key by key; None leaves a key out."""
    tensors = {}
    for key, tensor in load_file(source).items():
        found = change(key, tensor)
        if found is not None:
            tensors[found[0]] = found[1].contiguous()
    save_file(tensors, path, metadata=metadata)
    return path
