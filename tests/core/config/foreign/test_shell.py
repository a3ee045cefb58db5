"""Command lines are taken apart, and never run."""

import pytest

from core.config.foreign.shell import looks_like_command, parse_command
from core.errors import ConfigError


def flags(text):
    return parse_command(text, "a.sh").flags


def complaint(text):
    with pytest.raises(ConfigError) as caught:
        parse_command(text, "a.sh")
    return str(caught.value)


def test_values_follow_an_equals_sign_or_a_blank_or_nothing():
    assert flags("python t.py --a=1 --b 2 --c --d -3 --e x y") == {
        "a": "1",
        "b": "2",
        "c": True,
        "d": "-3",
        "e": ["x", "y"],
    }


@pytest.mark.parametrize("line_end", ["\\\n", "\\\r\n", "^\n", "`\n", "\\  \n"])
def test_a_line_goes_on_after_a_mark_at_its_end(line_end):
    assert flags(f"python t.py --a 1 {line_end}  --b 2") == {"a": "1", "b": "2"}


def test_quotes_hold_words_together():
    assert flags("""python t.py --a "x; y & z | 'q'" --b 'two "words"' --c=un"quo"ted""") == {
        "a": "x; y & z | 'q'",
        "b": 'two "words"',
        "c": "unquoted",
    }


def test_the_first_command_with_a_script_counts_and_ends_where_it_ends():
    text = "# note --x\npip install y\ncd /z && accelerate launch a/train.py --a 1 # why\nrm -rf --b 2"
    command = parse_command(text, "a.sh")
    assert (command.script, command.flags) == ("train.py", {"a": "1"})


def test_variables_that_the_file_sets_are_put_in():
    assert flags("export A=one\nB='two words'\nC=$A-3\npython t.py --a $A --b=${B} --c $C") == {
        "a": "one",
        "b": "two words",
        "c": "one-3",
    }


@pytest.mark.parametrize("value", ["$HOME", "${TOKEN}", "$(touch made)", "`touch made`", '"$(touch made)"'])
def test_what_only_a_shell_could_work_out_is_refused_and_not_run(value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "must have every value written out" in complaint(f"python t.py --a {value}")
    assert list(tmp_path.iterdir()) == []


def test_a_dollar_that_is_meant_as_one_stays():
    assert flags(r'python t.py --a "for \$5 or \$HOME"') == {"a": "for $5 or $HOME"}


def test_the_flags_of_the_launcher_are_kept_apart():
    assert flags("accelerate launch --mixed_precision fp16 --cpu t.py --a 1") == {
        "launch:mixed_precision": "fp16",
        "launch:cpu": True,
        "a": "1",
    }


def test_windows_paths_keep_their_parts():
    assert flags(r"python t.py --a C:\data\cats --b D:\x") == {"a": "C:/data/cats", "b": "D:/x"}


def test_the_last_of_two_equal_flags_counts():
    assert flags("python t.py --a 1 --a 2") == {"a": "2"}


def test_open_quotes_and_texts_without_a_script_get_a_sentence():
    assert complaint('python t.py --a "x') == "a.sh must be a command line, got an error: no closing quotation"
    assert complaint("echo hello") == "a.sh must hold a command that runs a .py script, got none"


def test_a_text_is_known_for_a_command_line():
    assert looks_like_command("accelerate launch train.py --a 1")
    assert not looks_like_command('{"a": 1}')
