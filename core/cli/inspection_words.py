"""What an inspection found, in lines for a terminal."""

import math
from collections.abc import Sequence

from core.models.lora_audit import Audit
from core.runs.drift import DriftRecord
from core.runs.inspection import Inspection
from core.runs.metrics import FREE, SAMPLES, SHORT, Metric

WIDTH = 42
COLUMN = 9
LISTED = 5


def lines_of(records: Sequence[DriftRecord]) -> list[str]:
    """The table: base beside adapter, metric by metric."""
    if not records:
        return []
    first, chain = records[0], records[0].chain
    heads = ["base", *(["adapter", "diff."] if len(records) > 1 else [])]
    lines = ["", "".ljust(WIDTH) + "".join(head.rjust(COLUMN) for head in heads)]
    pieces: list[tuple[str, Sequence[Metric]]] = [
        (f"short paths of {first.pairs} pairs, means over {len(first.grid)} timesteps", SHORT)
    ]
    pieces.append(("free-running from pure noise", FREE))
    if chain is not None:
        what = f"{chain.samples} finished samples, {chain.inference_steps} steps, guidance {chain.guidance:g}"
        pieces.append((what, SAMPLES))
    for title, rows in pieces:
        lines += [f"{title}:", *(line for row in rows if (line := _line(row, records)) is not None)]
    return lines


def _line(row: Metric, records: Sequence[DriftRecord]) -> str | None:
    values = [row.value(record) for record in records]
    if all(math.isnan(value) for value in values):
        return None
    shown = [*values, values[1] - values[0]] if len(values) > 1 else values
    numbers = "".join(_number(value).rjust(COLUMN) for value in shown)
    return f"  {row.label}".ljust(WIDTH) + f"{numbers}  {row.unit}; {row.help}"


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
