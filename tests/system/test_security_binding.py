"""Whom the page lets in when it is started: nobody but this machine, unless somebody says so and asks for a login."""

import contextlib
import os

import pytest

from tests.support.raw_http import ask, request, send
from tests.support.served import Served

REFUSED = {
    "all addresses": (["--server-name", "0.0.0.0"], {}),
    "all addresses of IPv6": (["--server-name", "::"], {}),
    "listen": (["--listen"], {}),
    "share": (["--share"], {}),
    "the environment": ([], {"GRADIO_SERVER_NAME": "0.0.0.0"}),
    "half a login": (["--listen", "--auth", "me:"], {}),
}


@pytest.mark.parametrize(("flags", "variables"), REFUSED.values(), ids=REFUSED)
def test_nobody_is_let_in_by_mistake(tmp_path, flags, variables):
    served = Served(tmp_path / "workspace", None, *flags, environment={**os.environ, **variables})
    assert served.process.wait(60) == 2
    told = served.log.read_text()
    assert told.startswith("--")
    assert "Traceback" not in told
    assert not (tmp_path / "workspace").exists()
    with contextlib.suppress(OSError):
        ask(served.port, "/")
        pytest.fail("nobody may listen after a refusal")


@pytest.mark.faults
@pytest.mark.parametrize("name", ["::1", "localhost"])
def test_the_page_opens_at_other_names_of_this_machine(tmp_path, name):
    served = Served(tmp_path / "workspace", None, "--server-name", name)
    try:
        served.wait()
        raw = request("/", headers=[("Host", f"[::1]:{served.port}"), ("Connection", "close")])
        assert send(served.port, raw, name).status == 200
    finally:
        served.stop()
