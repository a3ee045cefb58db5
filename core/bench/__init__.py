"""What the README claims, measured: ``python -m core bench``."""

from collections.abc import Callable, Sequence
from importlib import import_module

from core.errors import ConfigError, Problem

BENCHES: dict[str, str] = {
    "calls": "core.bench.calls:measure",
    "steps": "core.bench.steps:measure",
    "visited": "core.bench.visited:measure",
    "memory": "core.bench.memory:measure",
    "forecast": "core.bench.forecast:measure",
    "metrics": "core.bench.metrics:measure",
    "page": "core.bench.page:measure",
    "compare": "core.bench.compare:measure",
    "curves": "core.bench.curves:measure",
    "load": "core.bench.load:measure",
    "script": "core.bench.script:measure",
}
"""Name to the function that measures and prints."""


def run_benches(only: Sequence[str] | None) -> None:
    """Runs the named benches, or all.

    Raises:
        ConfigError: a name is unknown.
    """
    names = list(BENCHES) if not only else list(only)
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise ConfigError(
            [Problem("--only", f"--only must be one of {', '.join(BENCHES)}, got {name!r}") for name in unknown]
        )
    for name in names:
        module, attribute = BENCHES[name].split(":")
        measure: Callable[[], None] = getattr(import_module(module), attribute)
        print(f"== {name}", flush=True)
        measure()


def figure(what: str, value: str, limit: str = "") -> None:
    """Prints one line of the report."""
    print(f"{what:<78} {value:>12}  {limit}", flush=True)
