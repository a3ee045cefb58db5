"""How much memory a training needs, phase by phase, from what was told of its parts."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from core.config.run import RunConfig
from core.runs.files import is_number

DRAWN_TOGETHER = 8
"""Pictures that are drawn in one batch."""


@dataclass(frozen=True)
class Memory:
    """What a training takes where it is trained, in bytes, told from shapes.

    Attributes:
        network: The frozen network.
        adapter: The LoRA.
        gradients: Of the LoRA.
        optimizer: Its state.
        activations: What a step with one backward holds at most beside all these: of the forward for the backward,
            and passing values.
        again: The same of a backward that adds to gradients that are there.
        call: Of any call without gradient.
        item: Of each item in such a call.
        guided: Items behind one of a guided call.
        encoder: The largest text encoder that is not trained; they come one at a time.
        autoencoder: Comes when a picture is drawn.
        picture: What the decoding of one picture holds at most.
        encoders: Text encoders that are trained, and stay.
    """

    network: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    again: int
    call: int
    item: int
    guided: int
    encoder: int
    autoencoder: int
    picture: int
    encoders: int = 0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Memory":
        """Reads what ``asdict`` gave.

        Raises:
            ValueError: If something is missing or no number.
        """
        wrong = [each.name for each in fields(cls) if not is_number(data.get(each.name))]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must be numbers")
        return cls(**{each.name: int(data[each.name]) for each in fields(cls)})


@dataclass(frozen=True)
class Need:
    """Peaks of a training's phases, in bytes, the network included.

    Attributes:
        network: The frozen network, which lies there all the time.
        encoding: Of prompts, before the first step.
        step: Of training, rollouts included.
        drawing: Of pictures between steps, and of the drift probe; 0 where there are none.
    """

    network: int
    encoding: int
    step: int
    drawing: int

    @property
    def peak(self) -> int:
        """Of all phases."""
        return max(self.encoding, self.step, self.drawing)

    @property
    def above(self) -> int:
        """The peak beyond the loaded network."""
        return max(self.peak - self.network, 0)


def need_of(config: RunConfig, memory: Memory, device: str) -> Need:
    """The peaks of a config's phases; all processes of a training on the CPU share its memory.

    Args:
        config: Of the training.
        memory: Told for such a training.
        device: Where it is trained.
    """
    on_cpu = device.startswith("cpu")
    many = config.training.num_processes if on_cpu else 1
    return Need(
        network=many * memory.network,
        encoding=many * (memory.encoder + memory.encoders + (memory.network if on_cpu else 0)),  # on a GPU later
        step=many * _step(config, memory), drawing=_drawing(config, memory) + (many - 1) * _kept(memory),
    )  # fmt: skip


def _kept(memory: Memory) -> int:
    """What stays between steps."""
    return memory.network + memory.encoders + memory.adapter + memory.optimizer


def _step(config: RunConfig, memory: Memory) -> int:
    """Of a step: its largest backward, or its largest call without gradient where rollouts ask for one."""
    rollout, training = config.scheduled_sampling, config.training
    several = training.gradient_accumulation_steps > 1 or (rollout.enabled and rollout.mode == "visited")
    peak = memory.gradients + (max(memory.activations, memory.again) if several else memory.activations)
    if rollout.enabled:
        items = training.train_batch_size * (2 if config.data.with_prior_preservation else 1)
        items *= memory.guided if rollout.guidance_scale > 1 else 1
        peak = max(peak, (memory.gradients if several else 0) + _call(memory, items))
    return _kept(memory) + peak


def _drawing(config: RunConfig, memory: Memory) -> int:
    """Of pictures for people, of the drift probe's own, and of its pairs; text encoders come back for pictures."""
    validation = config.validation
    pictures = min(len(validation.validation_prompts) * validation.num_validation_images, DRAWN_TOGETHER)
    guided = memory.guided if validation.validation_guidance_scale > 1 else 1
    samples = min(validation.drift_samples, DRAWN_TOGETHER)
    items = max(pictures * guided, samples, validation.drift_pairs)
    if items == 0:
        return 0
    beside = max(memory.encoder, memory.autoencoder + memory.picture) if pictures + samples > 0 else 0
    return _kept(memory) + max(beside, _call(memory, items))


def _call(memory: Memory, items: int) -> int:
    return memory.call + memory.item * items
