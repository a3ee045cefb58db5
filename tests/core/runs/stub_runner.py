"""A queue's runner over stub trainers: ``stub_runner.py WORKSPACE NAME=BEHAVIOUR …``; what is not named finishes."""

import sys
from pathlib import Path

from core.runs.queue_runner import run_queue
from core.runs.trainings import Training
from core.runs.workspace import Workspace

HERE = Path(__file__).parent
POLL_SECONDS = 0.05


def main() -> None:
    """Trains the queue as told; of an experiment the names are those of its arms."""
    behaviours = dict(pair.split("=") for pair in sys.argv[2:])

    def command(training: Training) -> list[str]:
        if training.experiment is not None:
            return [sys.executable, str(HERE / "stub_driver.py"), str(training.folder.path), *sys.argv[2:]]
        behaviour = behaviours.get(training.folder.name, "finish")
        return [sys.executable, str(HERE / "stub_trainer.py"), str(training.folder.path), behaviour]

    run_queue(
        Workspace(Path(sys.argv[1])), say=lambda line: print(line, flush=True), command=command, poll=POLL_SECONDS
    )


if __name__ == "__main__":
    main()
