"""What an event of the page may look like: handlers are no interface for programs."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeGuard

OTHER_PAGE = "the event must be one of this page, with as many values as it takes; load the page again"
"""Also what an open page gets whose server was started anew in another version."""
NO_UPLOAD = "a file must be one that was uploaded to this page"
KEYS = frozenset({"data", "event_data", "fn_index", "trigger_id", "session_hash"})
"""What the page's script sends, and nothing else."""
FILE = {"path": str, "url": str, "orig_name": str, "mime_type": str, "size": int, "is_stream": bool, "meta": dict}
"""What it says of an uploaded file, all but the path perhaps null."""
LARGEST = 10**21
"""Whole numbers from here on a browser writes with an exponent."""
SESSION = re.compile(r"[a-z0-9]{1,40}", re.ASCII)

Takes = Mapping[int, Sequence[Literal["any", "file", "files"]]]
"""For each event, what each of its values is."""


def problem_of_call(body: bytes, takes: Takes, uploads: Path) -> str | None:
    """Why the body of an event is not one that the page's script sends; None for one that is.

    Args:
        body: As it came.
        takes: The page's events.
        uploads: Folder of uploaded files. A file is named by its path on this machine, so nothing else may be named.
    """
    try:
        call = json.loads(body, parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except (ValueError, RecursionError):
        return "an event must be JSON with finite numbers"
    if not isinstance(call, dict) or not call.keys() <= KEYS:
        return "an event must hold what the page's script sends, and nothing else"
    index, values, session = call.get("fn_index"), call.get("data"), call.get("session_hash")
    if not _is_whole(index) or index not in takes or not isinstance(values, list) or len(values) != len(takes[index]):
        return OTHER_PAGE
    if not isinstance(session, str) or SESSION.fullmatch(session) is None:
        return "session_hash must be one of the page's script"
    if call.get("trigger_id") is not None and not _is_whole(call["trigger_id"]):
        return "trigger_id must be a whole number"
    if not all(_fits(value, kind) for value, kind in zip(values, takes[index], strict=True)):
        return NO_UPLOAD
    return _problem_within([values, call.get("event_data")], os.path.realpath(uploads))


def _problem_within(value: Any, uploads: str) -> str | None:
    """The first problem of a text or of a file at any depth."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, dict):
            if "path" in here and not _is_upload(here["path"], uploads):
                return NO_UPLOAD
            waiting += [*here, *here.values()]
        elif isinstance(here, list):
            waiting += here
        elif isinstance(here, str) and not _is_text(here):
            return "texts must be Unicode without the character NUL"
    return None


def _fits(value: Any, kind: str) -> bool:
    """Whether a value can stand for an uploaded file, or several, or for none, where these are asked for."""
    if kind == "any" or value is None:
        return True
    if kind == "files":
        return isinstance(value, list) and all(one is not None and _fits(one, "file") for one in value)
    if not isinstance(value, dict):
        return False
    sound = all(name in FILE and (held is None or type(held) is FILE[name]) for name, held in value.items())
    return sound and value.get("path") is not None and not value.get("is_stream")


def _is_upload(path: Any, uploads: str) -> bool:
    if not isinstance(path, str) or not _is_text(path) or not path.startswith("/"):
        return False
    real = os.path.realpath(path)
    return real.startswith(uploads + os.sep) and os.path.isfile(real)


def _is_text(text: str) -> bool:
    """Whether it can be written: NUL ends a path early, half a surrogate pair has no bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST:
        raise ValueError(text)
    return number
