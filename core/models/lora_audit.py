"""What an audit of a LoRA file found, as plain data. Imports no torch: the page reads it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Update:
    """The change that one module makes.

    Attributes:
        module: Its name in the file.
        norm: Frobenius norm of `scale B A`, the change of the module's weight; NaN where it is not finite.
    """

    module: str
    norm: float


@dataclass(frozen=True)
class Audit:
    """A LoRA file as it is, whatever the base model.

    Attributes:
        name: Of the file.
        format: Whose keys it has: ``diffusers``, ``kohya`` or ``peft``; two of them joined by ``+``.
        size: Bytes.
        modules: How many modules it changes.
        parts: Modules by part of the pipeline, ``unet`` or ``text_encoder``.
        ranks: Modules by rank.
        alphas: Modules by alpha, the number by which the change is scaled over the rank.
        dtypes: Modules by number type.
        metadata: What the file says of itself, long values cut.
        largest: The largest changes, largest first.
        norm: Root of the sum of all squared norms; NaN where one is not finite.
        zero: Modules that change nothing, by name.
        non_finite: Keys that hold NaN or infinity.
        unknown: Keys that are no part of a plain LoRA.
    """

    name: str
    format: str
    size: int
    modules: int
    parts: Mapping[str, int]
    ranks: Mapping[str, int]
    alphas: Mapping[str, int]
    dtypes: Mapping[str, int]
    metadata: Mapping[str, str]
    largest: tuple[Update, ...]
    norm: float
    zero: tuple[str, ...]
    non_finite: tuple[str, ...]
    unknown: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Reads what ``asdict`` gave.

        Raises:
            ValueError: If it is no audit.
        """
        metadata, largest = data.get("metadata"), data.get("largest")
        if not isinstance(data.get("format"), str) or not isinstance(metadata, dict) or not isinstance(largest, list):
            raise ValueError("an audit must have a format, metadata and a list of the largest changes")
        return cls(
            name=str(data.get("name", "")), format=data["format"], size=_whole(data.get("size")),
            modules=_whole(data.get("modules")), metadata={str(key): str(value) for key, value in metadata.items()},
            largest=tuple(Update(str(row.get("module")), _real(row.get("norm"))) for row in map(_table, largest)),
            norm=_real(data.get("norm")), parts=_counts(data, "parts"), ranks=_counts(data, "ranks"),
            alphas=_counts(data, "alphas"), dtypes=_counts(data, "dtypes"), zero=_names(data, "zero"),
            non_finite=_names(data, "non_finite"), unknown=_names(data, "unknown"),
        )  # fmt: skip


def _counts(data: Mapping[str, Any], key: str) -> dict[str, int]:
    return {str(name): _whole(count) for name, count in _table(data.get(key)).items()}


def _names(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data.get(key)
    if not isinstance(value, list):
        raise ValueError(f"an audit must list names, got {value!r}")
    return tuple(map(str, value))


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an audit must have tables, got {value!r}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"an audit must count in whole numbers, got {value!r}")
    return value


def _real(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
