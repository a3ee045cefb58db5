"""A process that stands for a page: ``stand_in_page.py WORKSPACE PYTHON`` does what its buttons do, a line each.

Trainings are started with ``PYTHON`` in the place of the interpreter. A line of the input is a JSON list: what to do,
and with what. Each is answered by a line of JSON: what came of it, or the sentence of its error.
"""

import json
import sys
from pathlib import Path

sys.executable = sys.argv[2]

from app.workbench import Workbench  # noqa: E402  what is imported keeps the interpreter's name
from core.config.presets import load_preset  # noqa: E402
from core.errors import WorkbenchError  # noqa: E402
from core.runs.folder import RunFolder  # noqa: E402
from core.runs.process import advance_stop, stop_run  # noqa: E402
from core.runs.workspace import Workspace  # noqa: E402


def main() -> None:
    """Answers until its input ends."""
    bench = Workbench(Workspace(Path(sys.argv[1])))
    demo = load_preset("demo").config
    said = {
        "start": lambda name: str(bench.start(demo, "single", name)),
        "stop": bench.stop,
        "resume": bench.resume,
        "entries": lambda: [[str(entry.selection), entry.label] for entry in bench.entries()],
        "press": lambda path, grace: stop_run(RunFolder(Path(path)), grace).label,
        "poll": lambda path: advance_stop(RunFolder(Path(path))).label,
    }
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        what, *given = json.loads(line)
        try:
            answer = {"told": said[what](*given)}
        except WorkbenchError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
