"""The command line: ``python -m core COMMAND``. All that the page does can be typed."""

import sys
from collections.abc import Callable

from core.cli import (  # noqa: F401  each adds its commands
    caching,
    class_images,
    control,
    doctor,
    exporting,
    facts,
    fetching,
    importing,
    inspecting,
    judging,
    looking,
    queueing,
    sweeping,
    training,
)
from core.cli.common import app
from core.errors import ConfigError, DataError, WorkbenchError


def main() -> None:
    """Runs a command; errors that are fit for people become one sentence a line and an exit status."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], None]) -> int:
    try:
        command()
    except (ConfigError, DataError) as error:
        _complain(*error.problems, error=error)
        return 2
    except WorkbenchError as error:
        _complain(error, error=error)
        return 1
    return 0


def _complain(*sentences: object, error: WorkbenchError) -> None:
    """The sentences, and what to do about them where it is known."""
    for sentence in sentences:
        print(f"error: {sentence}", file=sys.stderr)
    for note in getattr(error, "__notes__", ()):
        print(note, file=sys.stderr)


if __name__ == "__main__":
    main()
