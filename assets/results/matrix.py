"""What the results table is made of: bases, arms, seeds. Data only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.config.presets import resolve_config
from core.config.run import RunConfig

BASES: Mapping[str, str] = {"embedded": "demo", "embedded-flow": "demo-flow"}
"""Embedded base model -> the preset that trains on it."""
SEEDS: tuple[int, ...] = (0, 1, 2)
STEPS = 300
REFERENCE = "teacher-forced"
"""The arm that the others are read against, at the same seed."""

ASKED_FOR: tuple[str, ...] = ("blue", "green", "red", "black")
"""Backgrounds, not among those of the subject's pictures, whose colour is asked for and scored."""
KEPT = 6
"""Samples of the instance prompt that are kept as pictures, for the sheet."""

# spelt out in full, so that a preset whose defaults change later does not change an arm
_ROLLOUT = {
    "max_step_offset": 3,
    "stride": "inference",
    "probability": 1.0,
    "ramp_steps": 0,
    "start_step": 0,
    "strategy": "uniform",
    "sampler": "unipc",
    "order": 2,
    "mode": "fresh",
    "target": "anchored",
    "guidance_scale": 1.0,
    "reflexflow": False,
}
_COMMON = {
    "validation_num_inference_steps": 20,
    "validation_guidance_scale": 1.0,
    "validation_prompts": (),
    "validation_steps": 0,
    "drift_pairs": 4,
    "drift_samples": 0,
    "checkpointing_steps": 0,
}


@dataclass(frozen=True)
class Arm:
    """One row of the table.

    Attributes:
        name: of folders and files.
        label: in the table.
        changes: rollout options, without their prefix, that differ from K = 3, fresh, anchored at inference stride.
        bases: which bases it is trained on.
    """

    name: str
    label: str
    changes: Mapping[str, object]
    bases: tuple[str, ...] = tuple(BASES)


ARMS: tuple[Arm, ...] = (
    Arm(REFERENCE, "teacher forcing (K = 0)", {"max_step_offset": 0}),
    Arm("anchored-k1", "fresh, anchored, K = 1", {"max_step_offset": 1}),
    Arm("anchored-k3", "fresh, anchored, K = 3", {}),
    Arm("posterior-k3", "fresh, posterior, K = 3", {"target": "posterior"}),
    Arm("original-k3", "fresh, original, K = 3", {"target": "original"}),
    Arm("visited-k3", "visited, anchored, K = 3", {"mode": "visited"}),
    Arm("reflexflow-k3", "fresh, anchored, K = 3, ReflexFlow", {"reflexflow": True}, ("embedded-flow",)),
)


@dataclass(frozen=True)
class Cell:
    """One training: an arm on a base with a seed."""

    base: str
    arm: Arm
    seed: int

    @property
    def name(self) -> str:
        """Of its run folder and its score file, unique within a base."""
        return f"{self.arm.name}-s{self.seed}"

    def options(self, steps: int) -> dict[str, object]:
        """What it changes of the base's preset, by flat names."""
        rollout = {f"scheduled_sampling_{name}": value for name, value in {**_ROLLOUT, **self.arm.changes}.items()}
        return {"max_train_steps": steps, "seed": self.seed, **_COMMON, **rollout}

    def config(self, steps: int) -> RunConfig:
        """The configuration of its run.

        Raises:
            ConfigError: the base's preset is not there.
        """
        return resolve_config(BASES[self.base], overrides=self.options(steps))


def cells(seeds: Sequence[int] = SEEDS, bases: Sequence[str] = tuple(BASES)) -> Iterator[Cell]:
    """Every cell, seed by seed and within a seed arm by arm on all bases: a cut leaves a balanced table."""
    for seed in seeds:
        for arm in ARMS:
            for base in bases:
                if base in arm.bases:
                    yield Cell(base, arm, seed)
