"""Whose file it is, what is kept of it, and files that mean harm."""

import json
from pathlib import Path

import pytest

from core.config.files import LARGEST
from core.config.flat import parse_config
from core.config.foreign import READERS, import_file, import_text, is_foreign
from core.config.foreign.kept import Kept, document, kept_in, kept_of, read_kept
from core.config.foreign.report import STANDINGS, as_rows, report_lines
from core.config.foreign.values import is_secret, without_secrets
from core.config.presets import load_preset, resolve_config
from core.errors import ConfigError

EXAMPLES = Path(__file__).parent / "examples"
KINDS = {
    "simpletuner/config.json": "simpletuner",
    "simpletuner/flux.json": "simpletuner",
    "diffusers/sd15.sh": "diffusers",
    "diffusers/sdxl.txt": "diffusers",
    "kohya/config.toml": "kohya",
    "kohya/network.toml": "kohya",
    "kohya/dataset.toml": "kohya",
    "kohya/gui.json": "kohya",
}


def complaint(text, name="a.json", tool=None):
    with pytest.raises(ConfigError) as caught:
        import_text(text, name, tool).config()
    for problem in caught.value.problems:
        assert "\n" not in problem.message
    return str(caught.value)


@pytest.mark.parametrize(("name", "tool"), KINDS.items())
def test_a_file_is_known_for_its_tools(name, tool):
    assert import_file(EXAMPLES / name).tool == tool
    assert is_foreign((EXAMPLES / name).read_text(), name)


def test_our_own_files_are_not_foreign():
    config = load_preset("demo").config
    assert not is_foreign(document(config, Kept()), "config.json")
    assert not is_foreign(document(config, Kept("simpletuner", {"a": 1})), "config.json")
    assert not is_foreign('{"scheduled_sampling_max_step_offset": 3, "rank": 4}', "config.json")
    assert not is_foreign('{"rnak": 4}', "config.json")


def test_every_key_of_a_file_stands_in_the_report():
    for name in KINDS:
        imported = import_file(EXAMPLES / name)
        text = "\n".join(report_lines(imported.findings))
        for key in imported.kept:
            assert not isinstance(imported.kept[key], dict) or "[" in name or key in text or name.endswith(".toml")
            if not isinstance(imported.kept[key], dict):
                assert key in text
        assert {cells[0] for cells in as_rows(imported.findings)} <= set(STANDINGS)


@pytest.mark.parametrize(
    ("text", "name", "told"),
    [
        ("", "a.json", "must be valid JSON"),
        ("[1]", "a.json", "must hold a table of options, got a list"),
        ('[{"id": "x", "type": "local"}]', "a.json", "got a list of data sets; import the config.json that names it"),
        ("5", "a.json", "must hold a table of options, got a int"),
        ('{"a": 1}', "a.json", "got no key that tells which; say which with --from"),
        ("[[", "a.toml", "must be valid TOML"),
        ("hello", "a.txt", "or a command line that runs a .py script, got neither"),
        ('{"a":' * 50_000, "a.json", "must be valid JSON"),
        ('{"model_family":' + "[" * 40 + "]" * 40 + "}", "a.json", "must be nested at most 12 levels deep"),
        (json.dumps({"model_family": list(range(20_000))}), "a.json", "must hold at most 10000 values"),
        (json.dumps({f"k{number}": 1 for number in range(1001)}), "a.json", "must hold at most 1000 keys, got 1001"),
        ('{"a": "' + "x" * LARGEST + '"}', "a.json", "must have at most"),
        ('{"model_family": "flux", "model_family": "sd3"}', "a.json", "'model_family' is given twice"),
        ("python train_dreambooth_lora.py --a '" + "x" * 10, "a.sh", "no closing quotation"),
    ],
)
def test_a_file_that_makes_no_sense_gets_one_sentence(text, name, told):
    assert told in complaint(text, name)


@pytest.mark.parametrize("tool", READERS)
@pytest.mark.parametrize(
    "value",
    [None, True, -1, 10**400, 1e308, float("nan"), float("inf"), "", " ", "\x00", "\ud800", "nan", "9" * 5000, [], {},
     [[1]], {"a": {"b": [None]}}, "$(reboot)", "<script>alert(1)</script>", "../../etc/passwd", "x" * 10_000],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_any_value_of_any_key_is_taken_or_told(tool, value, tmp_path):
    """One key after another, alone: nothing but a config or a list of sentences comes of it."""
    told = []
    for key in READERS[tool].keys:
        table = json.dumps({key: value}) if value != 10**400 else f'{{"{key}": {value}}}'
        try:
            imported = import_text(table, "a.json", tool, tmp_path)
            report_lines(imported.findings)
            imported.ramps(imported.config())
        except ConfigError as error:
            told += [problem.message for problem in error.problems]
    assert told
    assert not any("\n" in message for message in told)


def test_a_file_that_is_no_text_or_no_file_gets_a_sentence(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe{}")
    (tmp_path / "b.yaml").write_text("a: 1")
    for name, told in (
        ("a.json", "must be UTF-8 text"),
        ("b.yaml", "got the ending .yaml"),
        ("c.json", "existing file"),
    ):
        with pytest.raises(ConfigError, match=told):
            import_file(tmp_path / name)
    with pytest.raises(ConfigError, match="got a folder"):
        import_file(tmp_path)


def test_a_list_of_data_sets_that_is_broken_is_told(tmp_path):
    (tmp_path / "config.json").write_text('{"model_family": "flux", "data_backend_config": "sets.json"}')
    for text in ("{", "5", '["x", 3, null, {"instance_data_dir": {}}]', '[{"instance_data_dir": "a\\u0000b"}]'):
        (tmp_path / "sets.json").write_text(text)
        with pytest.raises(ConfigError):
            import_file(tmp_path / "config.json").config()


def test_what_was_kept_stands_beside_the_config_and_is_no_option(tmp_path):
    imported = import_file(EXAMPLES / "simpletuner" / "config.json")
    path = tmp_path / "config.json"
    path.write_text(document(imported.config(), kept_of(imported)))
    assert read_kept(path) == kept_of(imported)
    assert resolve_config(path) == imported.config()
    assert parse_config(json.loads(path.read_text())) == imported.config()


@pytest.mark.parametrize(
    "section", [5, [], {"from": 1}, {"from": "x", "keys": []}, {"from": "x", "keys": {}, "files": 3}]
)
def test_a_damaged_section_is_told(section):
    with pytest.raises(ConfigError, match="imported must be a table with from, keys and files"):
        kept_in({"imported": section}, "a.json")


def test_a_section_that_would_outgrow_a_config_is_told():
    kept = Kept("simpletuner", {"a": ["x" * 1000] * 300})
    with pytest.raises(ConfigError, match="imported must leave the config below"):
        document(load_preset("demo").config, kept)


@pytest.mark.parametrize(
    ("key", "value", "secret"),
    [
        ("hub_token", "x", True),
        ("--hub_token", "x", True),
        ("aws_secret_access_key", "x", True),
        ("wandb_api_key", "x", True),
        ("webhook_config", "x", True),
        ("note", "hf_" + "a" * 20, True),
        ("url", "https://me:word@host/x", True),
        ("hub_token", None, False),
        ("max_token_length", 225, False),
        ("keep_tokens", 1, False),
        ("class_tokens", "sks dog", False),
    ],
)
def test_tokens_and_passwords_are_known(key, value, secret):
    assert is_secret(key, value) is secret
    assert (without_secrets({"a": [{key: value}]}) == {"a": [{}]}) is secret
