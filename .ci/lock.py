"""Writes requirements.lock and requirements-dev.lock from what is installed: ``make lock``.

A local label (as in 2.13.0+cpu) is dropped, and nothing is pinned that only some platforms need, so the files install
anywhere.
"""

import tomllib
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TESTED = ("dev", "build", "bitsandbytes", "prodigy", "tensorboard")
"""The extras that the tests and the pictures need; the others are installed by who wants them."""
HEAD = "# Exact versions, written by `make lock`; the ranges are in pyproject.toml.\n"


def closure(requirements: list[str]) -> dict[str, str]:
    """Name to version of everything that the requirements pull in here."""
    found: dict[tuple[str, str], str] = {}
    waiting = [(Requirement(line), "") for line in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            key = (canonicalize_name(requirement.name), wanted)
            if key not in found:
                package = distribution(requirement.name)
                found[key] = package.version.split("+")[0]
                waiting += [(Requirement(line), wanted) for line in package.requires or []]
    return {name: version for (name, _), version in found.items()}


def main() -> None:
    """Writes both files into the current folder."""
    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    extras = project["optional-dependencies"]
    runtime = closure(project["dependencies"])
    development = closure([line for name in TESTED for line in extras[name]])
    with open("requirements.lock", "w") as file:
        file.write(HEAD + "".join(f"{name}=={runtime[name]}\n" for name in sorted(runtime)))
    with open("requirements-dev.lock", "w") as file:
        more = sorted(set(development) - set(runtime))
        file.write(HEAD + "-r requirements.lock\n" + "".join(f"{name}=={development[name]}\n" for name in more))


if __name__ == "__main__":
    main()
