"""What a drift measurement holds, line by line, for page and terminal: each metric, its unit and how to read it.

G0 and G1 stand between V and G2, never alone.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.runs.drift import DriftRecord
from core.runs.scores import SCORES


@dataclass(frozen=True)
class Metric:
    """One line of a table.

    Attributes:
        label: What people read.
        unit: Of the number.
        help: How to read it.
        value: The number in a record; NaN where it was not measured.
    """

    label: str
    unit: str
    help: str
    value: Callable[[DriftRecord], float]


def mean(values: Sequence[float]) -> float:
    """Over those that were measured; NaN where none was."""
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _finest(rows: Sequence[Sequence[float]]) -> float:
    """Mean over the timesteps of the last band."""
    return mean([row[-1] for row in rows if row])


def _score(name: str) -> Metric:
    score = SCORES[name]
    return Metric(score.label, score.unit, score.help, score.value)


SHORT: tuple[Metric, ...] = (
    _score("m1"),
    Metric(
        "Lag M2",
        "grid steps",
        "Above 0 its own states are noisier than the noise schedule says (behind), below 0 cleaner (ahead).",
        lambda record: mean(record.lag),
    ),
    Metric(
        "Residual of the lag",
        "relative rms",
        "What neither signal nor noise explains: structure of its own.",
        lambda record: mean(record.lag_residual),
    ),
    Metric(
        "Variance V of the states",
        "nats",
        "Below 0 shrunk. The sampler's own error is in it: read it against the base model.",
        lambda record: mean(record.v),
    ),
    _score("epsilon_norm"),
    Metric(
        "Finest band M4",
        "nats",
        "Energy of the finest details in the estimates, own states against true ones; below 0 too smooth.",
        lambda record: _finest(record.bands),
    ),
    Metric(
        "Gap to the true state G0",
        "squared latent units",
        "Error on its own states minus that on the true ones. Never read it alone: rollout training lowers it while "
        "samples get worse.",
        lambda record: mean(record.g0),
    ),
    Metric(
        "Gap to the start G1",
        "squared latent units",
        "Error on its own states minus that where the path began. Never alone either.",
        lambda record: mean(record.g1),
    ),
    _score("g2"),
    Metric(
        "Restoring M6, along its drift",
        "relative",
        "How much of its own drift the estimate carries along; lower repairs more. Read it against the base model.",
        lambda record: mean(record.restoring),
    ),
    Metric(
        "Restoring M6, along noise",
        "relative",
        "The same for plain noise of that size; ideally near 0.",
        lambda record: mean(record.restoring_noise),
    ),
)
FREE: tuple[Metric, ...] = (
    Metric(
        "V at the clean end",
        "nats",
        "Of the last state of the chain from pure noise. Below the base model's: shrunk.",
        lambda record: record.free_v[0] if record.free_v else math.nan,
    ),
    Metric(
        "Finest band of the estimates",
        "nats",
        "Energy of the finest details against the training pictures', mean over the chain; below 0 smoother.",
        lambda record: _finest(record.free_bands),
    ),
)
SAMPLES: tuple[Metric, ...] = tuple(
    _score(name) for name in ("v_end", "nearest", "diversity", "energy_distance", "high", "adherence")
)
