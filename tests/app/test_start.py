"""The flags of ``python -m app`` and what is refused before anything is loaded."""

import os
import socket
import subprocess
import sys

import pytest

from app.__main__ import main, parser, port_problem, prepare_environment, problems_of


def parse(*argv):
    return parser().parse_args(argv)


@pytest.mark.parametrize("form", ["--server-name", "--server_name", "--listen"])
def test_flags_are_known_by_all_their_names(form):
    assert parse(form, "10.0.0.5").server_name == "10.0.0.5"


def test_port_and_root_path_have_aliases_and_underscore_forms():
    assert parse("--port", "8000").server_port == parse("--server_port", "8000").server_port == "8000"
    assert parse("--root_path", "/wb").root_path == parse("--root-path", "/wb").root_path == "/wb"


def test_the_default_is_this_machine_only(monkeypatch):
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert (parse().server_name, parse().server_port) == ("127.0.0.1", "7860")
    assert problems_of(parse()) == []


def test_the_environment_is_honoured_and_flags_come_first(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "9999")
    assert parse().server_port == "9999"
    assert parse("--port", "8000").server_port == "8000"


@pytest.mark.parametrize(
    "argv",
    [
        ["--share"],
        ["--listen"],
        *(["--server-name", name] for name in ("0.0.0.0", "::", "192.168.0.5", "box.lan", "", "0")),
    ],
)
def test_others_are_let_in_only_with_a_login_or_on_demand(argv):
    assert len(problems_of(parse(*argv))) == 1
    assert problems_of(parse(*argv, "--auth", "me:secret")) == []
    assert problems_of(parse(*argv, "--insecure")) == []


def test_all_problems_are_told_at_once(capsys):
    assert main(["--share", "--listen", "--port", "99999", "--auth", "nocolon"]) == 2
    told = capsys.readouterr().err
    assert "--server-port must be a number from 1 to 65535, got 99999" in told
    assert "--auth must be USER:PASSWORD" in told
    assert "nocolon" not in told


def test_a_port_in_use_is_one_sentence_and_exit_2():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "app", "--port", str(port)], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"got {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_free_port_is_no_problem():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert port_problem("127.0.0.1", port) is None


def test_a_workspace_that_cannot_be_written_is_one_sentence_and_exit_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--workspace", str(tmp_path / "file" / "workspace"), "--port", "0"]) == 2
    assert main(["--workspace", str(tmp_path / "file"), "--port", str(free_port())]) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_nothing_phones_home_and_proxies_leave_the_page_alone(monkeypatch, tmp_path):
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR", "NO_PROXY", "no_proxy", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "kept" if name == "NO_PROXY" else "")
    monkeypatch.delenv("GRADIO_TEMP_DIR")
    prepare_environment(tmp_path)
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["NO_PROXY"] == "kept,127.0.0.1,localhost"
    assert os.environ["GRADIO_TEMP_DIR"] == str(tmp_path)


def test_uploads_have_a_folder_of_their_own_even_in_one_that_others_use(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "/tmp")
    prepare_environment(tmp_path)
    assert os.environ["GRADIO_TEMP_DIR"] == "/tmp/rollout-page"


def test_folders_and_hosts_that_are_none_are_told():
    problems = problems_of(parse("--allowed-path", "/nowhere", "--allowed-path", "/", "--allowed-host", "http://evil/"))
    assert [problem.partition(" ")[0] for problem in problems] == ["--allowed-host", "--allowed-path"]


def test_the_login_may_come_from_the_environment_and_an_empty_one_is_none(monkeypatch):
    monkeypatch.setenv("GRADIO_AUTH", "me:secret")
    assert problems_of(parse("--listen")) == []
    monkeypatch.setenv("GRADIO_AUTH", "")
    assert problems_of(parse("--listen")) != []


@pytest.mark.parametrize(
    "name", ["GRADIO_SHARE", "GRADIO_ALLOWED_PATHS", "GRADIO_SSR_MODE", "GRADIO_AUTH", "GRADIO_NEW"]
)
def test_gradios_other_variables_do_not_reach_it(monkeypatch, tmp_path, name):
    monkeypatch.setenv(name, "True")
    prepare_environment(tmp_path)
    assert name not in os.environ


def test_help_and_refusals_load_nothing_heavy():
    code = "import sys, app.__main__ as m; m.main(['--share']); print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "False"
