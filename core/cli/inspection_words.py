"""What an inspection found, in lines for a terminal."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.models.lora_audit import Audit
from core.runs.drift import DriftRecord
from core.runs.inspection import Inspection
from core.runs.scores import SCORES

WIDTH = 42
COLUMN = 9
LISTED = 5


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        label: what it is.
        unit: of its values.
        reading: how to read it.
        value: the number in a record; NaN where it was not measured.
    """

    label: str
    unit: str
    reading: str
    value: Callable[[DriftRecord], float]


def _mean(name: str) -> Callable[[DriftRecord], float]:
    def value(record: DriftRecord) -> float:
        values = getattr(record, name)
        return sum(values) / len(values) if values else math.nan

    return value


def _score(name: str, reading: str) -> Row:
    score = SCORES[name]
    return Row(score.label, score.unit, reading, score.value)


SHORT = (
    _score("m1", "above 0 even for a perfect model: only the difference says something"),
    Row("Lag M2", "grid steps", "above 0 behind the noise schedule, below 0 ahead of it", _mean("lag")),
    Row("V of the states M3", "nats", "below 0 shrunk; the sampler's error is in it: read the difference", _mean("v")),
    _score("epsilon_norm", "0 for a perfect model"),
    Row("Gap to the true state G0", "squared latent", "near its own training loss: never read it without V and G2",
        _mean("g0")),
    Row("Gap to the start G1", "squared latent", "likewise: it falls while samples get worse", _mean("g1")),
    Row("Recovery gap G2", "squared latent", "0 for an exact model; above 0 errors are carried along, below 0 "
        "over-shrunk", _mean("g2")),
    Row("Restoring along own drift M6", "relative", "beside the base: lower repairs more", _mean("restoring")),
    Row("Restoring along noise M6", "relative", "near 0 is ideal", _mean("restoring_noise")),
)  # fmt: skip
FREE = (Row("V of the chain's last state M3", "nats", "read the difference", lambda record: _first(record.free_v)),)
FINISHED = (
    _score("v_end", "below 0 shrunk; read the difference"),
    _score("diversity", "1 is as varied as the training set"),
    _score("nearest", "lower is closer to the subject; 0 is a copy"),
    _score("energy_distance", "0 would be the training set's own distribution"),
    _score("high", "below 1 smoother, above 1 sharper or noisier"),
    _score("adherence", "0 is exactly the asked-for background"),
)


def _first(values: Sequence[float]) -> float:
    return values[0] if values else math.nan


def lines_of(records: Sequence[DriftRecord]) -> list[str]:
    """The table: base beside adapter, metric by metric."""
    if not records:
        return []
    first, chain = records[0], records[0].chain
    heads = ["base", *(["adapter", "diff."] if len(records) > 1 else [])]
    lines = ["", "".ljust(WIDTH) + "".join(head.rjust(COLUMN) for head in heads)]
    pieces: list[tuple[str, Sequence[Row]]] = [
        (f"short paths of {first.pairs} pairs, means over {len(first.grid)} timesteps", SHORT)
    ]
    pieces.append(("free-running from pure noise", FREE))
    if chain is not None:
        what = f"{chain.samples} finished samples, {chain.inference_steps} steps, guidance {chain.guidance:g}"
        pieces.append((what, FINISHED))
    for title, rows in pieces:
        lines += [f"{title}:", *(line for row in rows if (line := _line(row, records)) is not None)]
    return lines


def _line(row: Row, records: Sequence[DriftRecord]) -> str | None:
    values = [row.value(record) for record in records]
    if all(math.isnan(value) for value in values):
        return None
    shown = [*values, values[1] - values[0]] if len(values) > 1 else values
    numbers = "".join(_number(value).rjust(COLUMN) for value in shown)
    return f"  {row.label}".ljust(WIDTH) + f"{numbers}  {row.unit}; {row.reading}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.4f}"


def audit_lines(found: Inspection) -> list[str]:
    """The audit of the LoRA, if there is one, and what else is to be said."""
    audit = found.audit
    lines = [f"base model: {found.base_model}"]
    if audit is not None:
        lines += _audit(audit)
    return [*lines, *(f"note: {note}" for note in found.notes)]


def _audit(audit: Audit) -> list[str]:
    kinds = {"rank": audit.ranks, "alpha": audit.alphas, "type": audit.dtypes, "part": audit.parts}
    counted = [f"{name} {_counts(counts)}" for name, counts in kinds.items()]
    lines = [
        f"LoRA: {audit.name}, {audit.format} keys, {audit.size / 2**20:.2f} MiB, {audit.modules} modules",
        f"  {'; '.join(counted)}",
        f"  change of all weights: {audit.norm:.4g} (Frobenius norm of scale B A); the largest:",
        *(f"    {update.norm:<10.4g} {update.module}" for update in audit.largest[:LISTED]),
    ]
    lines += [f"  {key}: {value}" for key, value in audit.metadata.items()]
    return lines


def _counts(counts) -> str:
    alike = len(counts) == 1
    return ", ".join(name if alike else f"{name} ({count})" for name, count in counts.items())
