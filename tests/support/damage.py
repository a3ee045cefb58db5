"""What can happen to a file: torn, foreign, of a wrong type, no file at all. Each damage replaces it by real means."""

import ctypes
import json
import os
import random
import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.config.toml import toml_document

Apply = Callable[[Path, random.Random], None]
SPARSE = 300 * 2**20
HOSTILE: tuple[Any, ...] = (
    "a text", "", "../../etc", -1, 0, 10**400, -(10**400), 2**70, 1e308, float("nan"), float("inf"), float("-inf"),
    None, True, [], [1, "x", None], {}, {"a": [{}]}, [[[[[]]]]], "<img src=x onerror=alert(1)>", "\ud800", "\x1b[2J",
    "x" * 5000,
)  # fmt: skip
"""What stands where something else belongs."""


def remove(path: Path) -> None:
    """Whatever stands there goes; links are not followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _holding(data: bytes) -> Apply:
    def apply(path: Path, chance: random.Random) -> None:
        remove(path)
        path.write_bytes(data)

    return apply


def _truncated(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data) + 1)])


def _random(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(4096))


def _invalid_text(path: Path, chance: random.Random) -> None:
    data = path.read_bytes()
    place = chance.randrange(len(data) + 1)
    path.write_bytes(data[:place] + b"\xff\xfe\xc3\x28" + data[place:])


def _flipped(path: Path, chance: random.Random) -> None:
    """Some bytes of a file that begins as it should: metadata and pixels of a picture break so."""
    data = bytearray(path.read_bytes())
    for _ in range(min(40, len(data))):
        data[chance.randrange(min(16, len(data) - 1), len(data))] = chance.randrange(256)
    path.write_bytes(bytes(data))


def _mixed(value: Any, chance: random.Random, share: float) -> Any:
    """The same keys; a share of the values, at any depth, is of another kind."""
    if chance.random() < share:
        return chance.choice(HOSTILE)
    if isinstance(value, Mapping):
        return {key: _mixed(item, chance, share) for key, item in value.items()}
    return [_mixed(item, chance, share) for item in value] if isinstance(value, list) else value


def _wrong(share: float) -> Apply:
    """Right keys with wrong values: in JSON, in every line of a journal, and in TOML."""

    def apply(path: Path, chance: random.Random) -> None:
        text = path.read_text()
        if path.suffix == ".toml":
            table = {key: _mixed(value, chance, share) for key, value in tomllib.loads(text).items()}
            path.write_text(_as_toml(table))
            return
        try:
            values = [json.loads(text)]
        except ValueError:
            values = [json.loads(line) for line in text.splitlines()]
        mixed = [{key: _mixed(item, chance, share) for key, item in value.items()} for value in values]
        path.write_text("".join(json.dumps(value) + "\n" for value in mixed))

    return apply


def _as_toml(table: Mapping[str, Any]) -> str:
    """What of a table TOML can hold; the writer refuses the rest, and a line that is none stands for it."""
    try:
        return toml_document({}, {key: value for key, value in table.items() if isinstance(value, dict)})
    except (TypeError, ValueError):
        return "this = is = no toml\n"


def _many_keys(path: Path, chance: random.Random) -> None:
    path.write_text(json.dumps({f"key-{number}": number for number in range(100_000)}) + "\n")


def _folder(path: Path, chance: random.Random) -> None:
    remove(path)
    path.mkdir()
    (path / "inside").write_text("{}")


def _pipe(path: Path, chance: random.Random) -> None:
    remove(path)
    os.mkfifo(path)


def _loop(path: Path, chance: random.Random) -> None:
    remove(path)
    path.symlink_to(path.name)


def _astray(path: Path, chance: random.Random) -> None:
    remove(path)
    path.symlink_to("/proc/self/mem")


def _sparse(path: Path, chance: random.Random) -> None:
    with path.open("r+b") as file:
        file.truncate(SPARSE)


def _locked(path: Path, chance: random.Random) -> None:
    path.chmod(0)


DAMAGES: Mapping[str, Apply] = {
    "missing": lambda path, chance: remove(path),
    "empty": _holding(b""),
    "truncated": _truncated,
    "random bytes": _random,
    "flipped bytes": _flipped,
    "invalid text": _invalid_text,
    "a list": _holding(b"[1, {}, null]\n"),
    "a number": _holding(b"1e999\n"),
    "a string": _holding(b'"done"\n'),
    "null": _holding(b"null\n"),
    "nested": _holding(b"[" * 100_000 + b"\n"),
    "nested object": _holding(b'{"a":' * 900 + b"1" + b"}" * 900 + b"\n"),
    "few wrong": _wrong(0.15),
    "all wrong": _wrong(1.0),
    "many keys": _many_keys,
    "folder": _folder,
    "pipe": _pipe,
    "loop": _loop,
    "astray": _astray,
    "sparse": _sparse,
    "locked": _locked,
}
ON_FOLDERS = ("missing", "empty", "pipe", "loop", "astray", "locked")
"""Damages that a folder can have too: it vanishes, or something else stands in its place."""
STRUCTURED = (".json", ".jsonl", ".toml")


def fits(name: str, path: Path) -> bool:
    """Whether a damage means anything for what stands there."""
    if path.is_dir():
        return name in ON_FOLDERS
    if name in ("few wrong", "all wrong"):
        return path.suffix in STRUCTURED
    return name != "flipped bytes" or path.suffix in (".png", ".txt")


@contextmanager
def damaged(path: Path, name: str, seed: int) -> Iterator[None]:
    """Damages a file or folder while inside, and puts back what stood there, its times included."""
    kept = path.with_name(f".kept-{path.name}")
    path.rename(kept)
    try:
        if kept.is_dir() and name == "locked":
            shutil.copytree(kept, path)
        elif not kept.is_dir():
            shutil.copy2(kept, path)
        DAMAGES[name](path, random.Random(seed))
        yield
    finally:
        if os.path.lexists(path):
            if not path.is_symlink():
                path.chmod(0o700)
            remove(path)
        kept.rename(path)


class _Capabilities(ctypes.Structure):
    """What ``capget`` and ``capset`` take: the first 32 capabilities in the first of two of them."""

    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Takes from root the power to read what it may not (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) while inside.

    Only in this thread; nothing to do for anybody else.
    """
    if os.geteuid() != 0:
        yield
        return
    own = _own_capabilities()
    before = own[0].effective
    try:
        own[0].effective = before & ~0b110
        _capabilities("capset", own)
        yield
    finally:
        own[0].effective = before
        _capabilities("capset", own)


def _own_capabilities() -> Any:
    data = (_Capabilities * 2)()
    _capabilities("capget", data)
    return data


def _capabilities(call: str, data: Any) -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if getattr(ctypes.CDLL(None, use_errno=True), call)(header, data) != 0:
        raise OSError(ctypes.get_errno(), f"{call} failed")
