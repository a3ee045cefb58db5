"""The command line: ``python -m core COMMAND``. All that the page does can be typed."""

import sys
from collections.abc import Callable

from core.cli import doctor, facts, inspecting, judging, looking, training  # noqa: F401  each adds its commands
from core.cli.common import app
from core.errors import ConfigError, DataError, WorkbenchError


def main() -> None:
    """Runs a command; errors that are fit for people become one sentence a line and an exit status."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], None]) -> int:
    try:
        command()
    except (ConfigError, DataError) as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return 2
    except WorkbenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
