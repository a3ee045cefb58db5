"""One command that rebuilds everything in ``assets``: ``python -m assets.build [--work DIR] [--only STAGE]``."""

import argparse
from pathlib import Path

ASSETS = Path(__file__).resolve().parent.parent
STAGES = ("art", "tokenizer", "autoencoder", "base", "flow", "export")


def main() -> None:
    """Runs the stages in order; a stage whose result is in the work folder is not run again."""
    parser = argparse.ArgumentParser(prog="python -m assets.build", description=__doc__)
    parser.add_argument("--work", type=Path, default=ASSETS.parent / ".build", help="folder for intermediate results")
    parser.add_argument("--only", choices=STAGES, help="run this one stage")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    arguments = parser.parse_args()

    import torch

    from assets.build import stages

    torch.set_num_threads(arguments.threads)
    for stage in STAGES if arguments.only is None else (arguments.only,):
        print(f"== {stage}", flush=True)
        getattr(stages, stage)(arguments.work, ASSETS)


if __name__ == "__main__":
    main()
