"""An experiment's driver over stub trainers: ``stub_driver.py EXPERIMENT ARM=BEHAVIOUR …``."""

import sys
from pathlib import Path

from core.runs.experiment import Experiment, run_experiment
from core.runs.folder import RunFolder

STUB = Path(__file__).with_name("stub_trainer.py")


def main() -> None:
    """Trains the arms as told; arms that are not named finish."""
    behaviours = dict(pair.split("=") for pair in sys.argv[2:])

    def command(run: RunFolder) -> list[str]:
        return [sys.executable, str(STUB), str(run.path), behaviours.get(run.name, "finish")]

    run_experiment(Experiment(Path(sys.argv[1])), say=print, command=command, grace=5.0)


if __name__ == "__main__":
    main()
