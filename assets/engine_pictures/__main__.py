"""``python -m assets.engine_pictures``: draws the pictures of docs/engine.md and prints the numbers in them."""

import argparse

import torch

from assets.engine_pictures import PICTURES, draw
from core.config.paths import ASSETS_DIR
from core.plots.figure import save, summary_of


def main() -> None:
    """Takes some seconds on one core; trains nothing."""
    parser = argparse.ArgumentParser(prog="python -m assets.engine_pictures", description=__doc__)
    parser.add_argument("--only", choices=PICTURES, help="draw this one only")
    only = parser.parse_args().only
    torch.set_num_threads(1)
    for name in PICTURES if only is None else (only,):
        figure = draw(name)
        path = save(figure, ASSETS_DIR / "pictures" / f"engine-{name}.png")
        print(f"{path.name}: {summary_of(figure)}", flush=True)


if __name__ == "__main__":
    main()
