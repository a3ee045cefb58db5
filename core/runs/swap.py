"""Folders that are written whole: made aside, put in place at the end, and packed into one file."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import RunError
from core.runs.files import cannot_write, make_folder, read_object


def require_own(out: Path, marker: str, kind: str, what: str) -> None:
    """Passes where nothing stands, an empty folder, or an earlier folder of the same kind.

    Args:
        out: Where a folder is to be put.
        marker: Name of a JSON file in it that tells its kind.
        kind: What ``kind`` must be there.
        what: What such a folder is called.

    Raises:
        RunError: Something else stands there.
    """
    is_own = (read_object(out / marker) or {}).get("kind") == kind
    if out.exists() and not is_own and not (out.is_dir() and not any(out.iterdir())):
        raise RunError(f"--out must be a new folder or an earlier {what}, got {out}; choose another name")


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A fresh folder beside ``out`` to write into, which is put in its place when the block ends well.

    Where the block raises, what stood at ``out`` still stands, and nothing of the fresh folder is left.

    Args:
        out: Absolute.

    Raises:
        RunError: It cannot be written.
    """
    make_folder(out.parent)
    token = secrets.token_hex(4)
    aside, old = out.with_name(f".{out.name}-{token}"), out.with_name(f".{out.name}-{token}-old")
    try:
        aside.mkdir()
        yield aside
        if out.exists():
            out.rename(old)
        aside.rename(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
        elif old.exists():
            old.rename(out)


def zipped(folder: Path) -> Path:
    """The folder as one file beside it, made aside: nobody reads a part of it.

    Raises:
        RunError: It cannot be written.
    """
    path, aside = folder.with_name(f"{folder.name}.zip"), folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    packed = aside.with_name(f"{aside.name}.zip")
    try:
        os.replace(shutil.make_archive(str(aside), "zip", folder.parent, folder.name), path)
    except OSError as error:
        packed.unlink(missing_ok=True)
        raise cannot_write(path, error) from error
    return path
