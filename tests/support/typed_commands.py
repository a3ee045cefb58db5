"""The command line in this process. Import the fixture into a conftest or a test module."""

from collections.abc import Callable

import pytest

from core.__main__ import _guarded, app

Typed = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def typed(capsys, tmp_path, monkeypatch) -> Typed:
    """``typed("train", "demo", …)``: exit status, lines said, lines complained."""
    monkeypatch.setenv("ROLLOUT_WORKSPACE", str(tmp_path / "workspace"))

    def command(*words: str) -> tuple[int, list[str], list[str]]:
        try:
            code = _guarded(lambda: app(list(words)))
        except SystemExit as exit:
            code = exit.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err.splitlines()

    return command
