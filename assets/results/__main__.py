"""``python -m assets.results``: trains and measures what is missing of the results table, then writes it."""

import argparse
import signal
import sys
from pathlib import Path

from assets.results.matrix import BASES, SEEDS, STEPS, cells
from assets.results.table import render
from assets.results.work import Work, fill, measure, train
from core.config.paths import PROJECT_ROOT
from core.errors import WorkbenchError


def main() -> int:
    """Exit status 0 when every wanted cell has its scores, 1 when some failed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a training ends with this process
    work = Work(arguments.work.resolve(), arguments.steps, arguments.threads)
    wanted = cells(arguments.seeds, tuple(BASES) if arguments.only is None else (arguments.only,))
    failed: list[str] = []
    try:
        if not arguments.render:
            failed = fill(wanted, work, train, measure, say=lambda line: print(line, flush=True))
        render(work, arguments.seeds, arguments.root.resolve())
    except WorkbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if failed:
        print(f"error: {len(failed)} cells failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m assets.results", description=__doc__)
    add = parser.add_argument
    add("--work", type=Path, default=PROJECT_ROOT / ".build" / "results", help="runs and scores; a cut is resumed")
    add("--seeds", type=_seeds, default=SEEDS, help="training seeds, comma-separated (0,1,2)")
    add("--only", choices=tuple(BASES), help="one base; two processes, one a base, may run side by side")
    add("--steps", type=int, default=STEPS, help="optimizer steps of each training (%(default)s)")
    add("--threads", type=int, default=1, help="threads of each training and measurement (%(default)s)")
    add("--render", action="store_true", help="train nothing, only write the page from the scores that are there")
    add("--root", type=Path, default=PROJECT_ROOT, help="folder whose docs/results.md and assets/pictures are written")
    return parser.parse_args()


def _seeds(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(seed) for seed in text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
