"""``python -m app``: open the page.

Nothing heavy is imported before the flags are read, so that ``--help`` and every refusal are instant.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from app.hosts import LOCAL_NAMES, host_name
from app.login import pairs_of
from core.errors import WorkbenchError, reason_of

KEPT = ("GRADIO_TEMP_DIR",)
"""What of Gradio's environment reaches it. Its other variables would open, share or publish what no flag asked for."""


def parser() -> argparse.ArgumentParser:
    """The flags, each with its underscore form; environment variables of Gradio are the defaults."""
    made = argparse.ArgumentParser(prog="python -m app", description="Open the workbench in a browser page.")

    def flag(*names: str, **options: object) -> None:
        spelt = [*names, *(f"--{name[2:].replace('-', '_')}" for name in names if "-" in name[2:])]
        made.add_argument(*spelt, **options)  # type: ignore[arg-type]

    flag(
        "--server-name",
        "--listen",
        nargs="?",
        const="0.0.0.0",
        default=os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        metavar="ADDRESS",
        help="address to bind, 127.0.0.1 unless given; any other needs --auth; --listen alone binds all addresses",
    )
    flag(
        "--server-port",
        "--port",
        default=os.environ.get("GRADIO_SERVER_PORT", "7860"),
        metavar="PORT",
        help="7860 unless given",
    )
    flag("--share", action="store_true", help="open a public tunnel through gradio.live; needs --auth")
    flag(
        "--root-path",
        default=os.environ.get("GRADIO_ROOT_PATH"),
        metavar="PATH",
        help="path under which a proxy serves the page",
    )
    flag(
        "--auth",
        default=os.environ.get("GRADIO_AUTH"),
        metavar="USER:PASSWORD",
        help="ask for this login; several are separated by commas; $GRADIO_AUTH keeps it out of the list of processes",
    )
    flag(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another host name that requests may ask for, as NAME:PORT where a proxy has an unusual port",
    )
    flag(
        "--allowed-path",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a folder beside the workspace from which the page may use pictures and models; may be repeated",
    )
    flag("--inbrowser", action="store_true", help="open the page in a browser")
    flag(
        "--workspace",
        default=None,
        metavar="FOLDER",
        help="where runs are kept; ./workspace or $ROLLOUT_WORKSPACE unless given",
    )
    flag("--insecure", action="store_true", help="allow another address or --share without --auth")
    return made


def problems_of(arguments: argparse.Namespace) -> list[str]:
    """One sentence for each flag that cannot be used as given."""
    problems = []
    port = str(arguments.server_port)
    if not port.isdigit() or not 0 < int(port) < 65536:
        problems.append(f"--server-port must be a number from 1 to 65535, got {port}")
    if arguments.auth is not None and pairs_of(arguments.auth) is None:
        problems.append("--auth must be USER:PASSWORD, got a value that lacks one of the two or the colon between them")
    problems += [
        f"--allowed-host must be a host name or NAME:PORT, got {name}"
        for name in arguments.allowed_host
        if host_name(name) is None
    ]
    problems += [
        f"--allowed-path must be a folder, got {folder}; check the path"
        for folder in arguments.allowed_path
        if not os.path.isdir(os.path.expanduser(folder))
    ]
    if arguments.auth is None and not arguments.insecure:
        if arguments.share:
            problems.append(
                "--share must come with --auth USER:PASSWORD, got none; pass --insecure to open the page to everybody"
            )
        if arguments.server_name not in LOCAL_NAMES:
            problems.append(
                "--server-name must be 127.0.0.1 or come with --auth USER:PASSWORD, "
                f"got {arguments.server_name} without; pass --insecure to open the page to everybody in reach"
            )
    return problems


def port_problem(name: str, port: int) -> str | None:
    """A sentence when the address cannot be bound."""
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, port))
        except OSError as error:
            other = port + 1 if port < 65535 else 7861
            return (
                f"--server-port must be a free port of {name}, got {port} ({reason_of(error)}); "
                f"stop the program that uses it or pass another, for example --server-port {other}"
            )
    return None


def prepare_environment(cache: Path) -> None:
    """No version checks, no telemetry, no proxy for the page's own address, an own cache; before Gradio is imported.

    What of Gradio's variables has a flag was read with the flags; the others are dropped.
    """
    for variable in [name for name in os.environ if name.startswith("GRADIO_") and name not in KEPT]:
        del os.environ[variable]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    for variable in ("NO_PROXY", "no_proxy"):
        names = [name for name in os.environ.get(variable, "").split(",") if name]
        os.environ[variable] = ",".join(dict.fromkeys([*names, "127.0.0.1", "localhost"]))
    named = os.environ.get("GRADIO_TEMP_DIR", "")
    # a folder of its own: whatever lies in it counts as uploaded to the page, and may be tidied away
    os.environ["GRADIO_TEMP_DIR"] = str(Path(named) / "rollout-page" if named else cache)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the page until it is interrupted. Exit 0 after that, 2 when it cannot start."""
    arguments = parser().parse_args(argv)
    problems = problems_of(arguments)
    if not problems:
        busy = port_problem(arguments.server_name, int(arguments.server_port))
        problems = [busy] if busy else []
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 2
    from core.runs.workspace import Workspace

    try:
        workspace = Workspace(Path(arguments.workspace)) if arguments.workspace is not None else Workspace()
        workspace.check_writable()
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 2
    prepare_environment(workspace.root / "cache" / "page")
    print("Loading the page ...", flush=True)
    from app.server import launch

    address = launch(workspace, arguments)
    print(f"Open {address} in a browser. Ctrl-C stops the page; trainings go on.", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print("The page has stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
