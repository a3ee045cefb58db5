"""The login of ``--auth``: names and passwords, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable


def pairs_of(text: str) -> tuple[tuple[str, str], ...] | None:
    """Names and passwords of ``USER:PASSWORD,USER:PASSWORD``; None where one is missing or empty."""
    split = [pair.partition(":") for pair in text.split(",")]
    pairs = tuple((name.strip(), password) for name, _, password in split)
    return pairs if all(name and password.strip() for name, password in pairs) else None


class Login:
    """Whether a name and a password belong together.

    A wrong name takes as long as a wrong password: every pair is compared, whatever was found before.

    Args:
        pairs: Names and passwords.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._known = tuple((_digest(name), _digest(password)) for name, password in pairs)

    def __call__(self, name: str, password: str) -> bool:
        """Whether they are one of the pairs."""
        theirs = _digest(name), _digest(password)
        found = [hmac.compare_digest(theirs[0], known[0]) & hmac.compare_digest(theirs[1], known[1])
                 for known in self._known]  # fmt: skip
        return any(found)


def _digest(text: str) -> bytes:
    """Of a fixed length, so that the comparison does not tell that of the password."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
