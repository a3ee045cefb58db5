"""The login of ``--auth``."""

import pytest

from app.__main__ import parser, problems_of
from app.login import Login, pairs_of


def test_several_logins_are_separated_by_commas_and_a_password_may_hold_a_colon():
    assert pairs_of("me:secret,you:a:b") == (("me", "secret"), ("you", "a:b"))


@pytest.mark.parametrize(
    "text", ["", ":", "me", "me:", ":secret", "me: ", " :secret", "me:secret,", "me:secret,you:", ","]
)
def test_a_login_that_anybody_could_guess_is_refused_and_not_repeated(text):
    assert pairs_of(text) is None
    for name in ("127.0.0.1", "0.0.0.0"):
        found = problems_of(parser().parse_args(["--server-name", name, "--auth", text]))
        assert any(problem.startswith("--auth must be USER:PASSWORD") for problem in found)
        assert not any("secret" in problem for problem in found)


def test_only_a_name_with_its_own_password_is_let_in():
    login = Login([("me", "secret"), ("you", "other")])
    assert login("me", "secret")
    assert login("you", "other")
    wrong = [
        ("me", "other"),
        ("you", "secret"),
        ("me", ""),
        ("", ""),
        ("no", "secret"),
        ("me", "secre"),
        ("ME", "secret"),
    ]
    for name, password in [*wrong, ("\ud800", "\ud800")]:
        assert not login(name, password)
