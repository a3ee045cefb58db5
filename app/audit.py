"""What is in a LoRA file, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.html import Level, checklist, table
from app.metrics import digits
from core.models.lora_audit import Audit
from core.runs.fits import size_text

LISTED = 6
"""So many names are written out."""


def audit_html(audit: Audit, notes: Sequence[str] = ()) -> str:
    """Format, modules, ranks, alphas and norms; what is odd in it; what it says of itself.

    Args:
        audit: Of the file.
        notes: What people should know, a sentence each without its full stop.
    """
    rows = [
        ["File", audit.name],
        ["Format", f"{audit.format} keys, {size_text(audit.size)}, {_counts(audit.dtypes)}"],
        ["Modules changed", f"{audit.modules}: {_counts(audit.parts)}"],
        ["Ranks", _counts(audit.ranks)],
        ["Alphas", _counts(audit.alphas)],
        ["Norm of the whole change", f"{digits(audit.norm)} (Frobenius; 0 changes nothing)"],
        ["Largest changes", "; ".join(f"{update.module} {digits(update.norm)}" for update in audit.largest[:LISTED])],
    ]
    said: list[tuple[Level, str, str]] = [("warn", "Note", f"{note}.") for note in notes]
    if audit.unknown:
        said.append(("warn", "No part of a plain LoRA", f"{_names(audit.unknown)}."))
    own = table(["Property", "In this file"], rows, "The file as it is, whatever the base model")
    return own + (checklist(said) if said else "") + metadata_html(audit.metadata)


def metadata_html(metadata: Mapping[str, str]) -> str:
    """What the file says of itself, folded."""
    if not metadata:
        return '<p class="rw-text">The file says nothing of itself: no metadata.</p>'
    told = table(["Key", "Value"], [[name, value] for name, value in metadata.items()], "Metadata of the file")
    return f'<details class="rw-more"><summary>Metadata: {len(metadata)} entries</summary>{told}</details>'


def misfit_html(problems: Sequence[str]) -> str:
    """What of the file does not fit the base model; nothing is measured then."""
    listed = checklist([("fail", "Does not fit", problem) for problem in problems])
    return f'<div role="alert">{listed}<p class="rw-text">Nothing was measured with it.</p></div>'


def _counts(values: Mapping[str, int]) -> str:
    """The one value that all modules have, or each with its number of modules."""
    if len(values) == 1:
        return next(iter(values))
    return ", ".join(f"{name} ({count}×)" for name, count in values.items())


def _names(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
