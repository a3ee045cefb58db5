"""The scores by which arms are compared: a registry. Each takes a number from what was measured at a run's end."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.runs.drift import DriftRecord


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: Key in the registry.
        label: What people read.
        unit: Of its values and of its differences.
        help: How to read it, one or two sentences.
        better: Which way is better where everything else is equal; "neither" where only a distance says something.
        below: What a lower value than the reference's means, in words that follow the arm's name.
        above: What a higher value means.
        value: The number in a record; NaN where it was not measured.
    """

    name: str
    label: str
    unit: str
    help: str
    better: Literal["lower", "higher", "neither"]
    below: str
    above: str
    value: Callable[[DriftRecord], float]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _of_chain(name: str) -> Callable[[DriftRecord], float]:
    def value(record: DriftRecord) -> float:
        found = None if record.chain is None else getattr(record.chain, name)
        return math.nan if found is None else found

    return value


SCORES: Mapping[str, Score] = {
    score.name: score
    for score in (
        Score(
            "v_end",
            "V at the end of the chain",
            "nats",
            "Log variance of finished samples against the training latents. The sampler's own error is in it: only "
            "its difference between arms says something.",
            "neither",
            "makes samples of less variance",
            "makes samples of more variance",
            lambda record: record.v_end,
        ),
        Score(
            "nearest",
            "Distance to the nearest training latent",
            "latent rms",
            "Mean over finished samples. Lower is closer to the subject; 0 is a copy: read it with diversity.",
            "lower",
            "comes closer to the training pictures",
            "stays farther from the training pictures",
            _of_chain("nearest"),
        ),
        Score(
            "diversity",
            "Diversity",
            "of the training set's",
            "Mean distance of two samples over that of two training latents; 1 is as varied as the training set.",
            "higher",
            "makes samples that are more alike",
            "makes samples that are more varied",
            _of_chain("diversity"),
        ),
        Score(
            "energy_distance",
            "Energy distance",
            "root of latent rms",
            "Distance of the samples' distribution from the training latents'; 0 would be the same distribution.",
            "lower",
            "comes closer to the training set's distribution",
            "stays farther from the training set's distribution",
            _of_chain("energy_distance"),
        ),
        Score(
            "high",
            "High-frequency energy",
            "of the training set's",
            "Energy of the finest bands over the training latents'; below 1 smoother, above 1 sharper or noisier.",
            "neither",
            "makes smoother samples",
            "makes samples with more fine detail or noise",
            _of_chain("high"),
        ),
        Score(
            "m1",
            "Paired drift M1",
            "relative rms",
            "How far short self-generated paths end from the true one; above 0 even for a perfect model.",
            "lower",
            "drifts less",
            "drifts more",
            lambda record: record.m1_mean,
        ),
        Score(
            "g2",
            "Recovery gap G2",
            "squared latent units",
            "0 for an exact denoiser; above 0 errors are carried along, below 0 the model is over-shrunk.",
            "neither",
            "is more over-shrunk, or carries fewer errors along",
            "carries more errors along, or is less over-shrunk",
            lambda record: _mean(record.g2),
        ),
        Score(
            "epsilon_norm",
            "Noise norm",
            "relative",
            "Norm of the predicted noise on the model's own states over that on the true ones, minus 1.",
            "neither",
            "predicts less noise on its own states",
            "predicts more noise on its own states",
            lambda record: _mean(record.epsilon_norm),
        ),
        Score(
            "adherence",
            "Border-colour error",
            "of the full range",
            "Where prompts ask for a flat background: mean distance of the border from that colour.",
            "lower",
            "follows the asked-for background better",
            "follows the asked-for background worse",
            _of_chain("adherence"),
        ),
    )
}
DEFAULT_SCORE = "v_end"
