"""``python -m core`` in which one process fails or goes away in a step: HOOK=raise|kill, HOOK_RANK, HOOK_STEP.

Put this folder on ``PYTHONPATH`` and run ``hooked_core`` where ``core`` is meant.
"""

import os
import signal

from core.__main__ import main
from core.training.loop import Loop

_whole = Loop.take_step


def take_step(loop: Loop) -> None:
    """The step, or its failure in the process and at the step that are named."""
    if os.environ["RANK"] == os.environ["HOOK_RANK"] and loop.step == int(os.environ["HOOK_STEP"]):
        if os.environ["HOOK"] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("the hook was pulled")
    _whole(loop)


if __name__ == "__main__":
    Loop.take_step = take_step
    main()
