"""Attacks on the page's handlers: they take what the page's script sends, use no path unseen, and tell nothing."""

import json
import os
from pathlib import Path

import pytest

from app.form import values_of
from core.config.paths import PATH_OPTIONS
from core.config.presets import load_preset
from core.config.spec import option_specs
from tests.support.raw_http import Answer, Attacker
from tests.support.tiny_checkpoint import save_checkpoint

RUN, JOIN = "/gradio_api/run/predict", "/gradio_api/queue/join"
SECRET = "nobody-may-read-this"
ADVICE = "--allowed-path FOLDER"


@pytest.fixture(scope="module")
def outside(tmp_path_factory) -> Path:
    """A folder of somebody else's, with a base model, a LoRA and a caption."""
    folder = tmp_path_factory.mktemp("outside")
    save_checkpoint(folder / "thathere", "epsilon")
    (folder / "a.txt").write_text(SECRET)
    (folder / "lora.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    return folder


@pytest.fixture(scope="module")
def attacker(besieged, outside) -> Attacker:
    (besieged.workspace / "datasets" / "link").symlink_to(outside)
    made = Attacker(besieged.port)
    for name, value in zip(option_specs(), values_of(load_preset("demo").config), strict=True):
        made.values[made.names[f"opt-{name}"]] = value
    return made


def everything(folder: Path) -> dict[str, bytes]:
    """All files with their content."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def is_quiet(answer: Answer) -> bool:
    """Whether an answer tells nothing of what happens inside."""
    return "Traceback" not in answer.text and 'File \\"' not in answer.text and SECRET not in answer.text


def event_of(attacker: Attacker, name: str, kind: str = "click") -> dict:
    target = [attacker.names[name], kind]
    return next(event for event in attacker.events if target in [list(one) for one in event["targets"]])


def with_values(attacker: Attacker, event: dict, **values) -> list:
    named = {attacker.names[name]: value for name, value in values.items()}
    return [named.get(number, attacker.values[number]) for number in event["inputs"]]


HOSTILE = [
    "/etc/passwd", None, -1, True, 1e300, [["a"], {"b": [1]}], [], "http://169.254.169.254/", "../../../../etc/passwd",
    {"a": {"b": 1}, "__type__": "update", "value": "/etc/passwd"}, "\u202e\r\n\t\ufeff\U0001f408",
    "'\"><script>alert(1)</script>{{7*7}}${7*7}", "x" * 10_000,
]  # fmt: skip
ROUNDS = {
    "paths": lambda place: HOSTILE[0],
    "nothing": lambda place: None,
    "numbers": lambda place: 1e300,
    "markup": lambda place: HOSTILE[-2],
    "objects": lambda place: HOSTILE[9],
    "mixed": lambda place: HOSTILE[place % len(HOSTILE)],
    "mixed anew": lambda place: HOSTILE[-place % len(HOSTILE)],
}


@pytest.mark.parametrize("value", ROUNDS.values(), ids=ROUNDS)
def test_no_handler_trips_over_hostile_values(attacker, besieged, outside, value):
    before, runs = everything(outside), os.listdir(besieged.workspace / "runs")
    logged = len(besieged.log.read_text())
    for event in attacker.handlers:
        if event["inputs"]:
            answer = attacker.call(event, [value(place) for place in range(len(event["inputs"]))])
            assert answer.status in {200, 400, 500}
            assert is_quiet(answer), event["id"]
    assert "Traceback" not in besieged.log.read_text()[logged:]
    assert everything(outside) == before
    assert os.listdir(besieged.workspace / "runs") == runs


BODIES = {
    "nothing": b"",
    "no JSON": b"data",
    "a list": b"[]",
    "a number": b"1",
    "deep": b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b', "fn_index": 0, "session_hash": "a"}',
    "another encoding": '{"data": [], "fn_index": 0}'.encode("utf-16"),
    "no bytes of UTF-8": b'{"data": ["\xff\xfe"], "fn_index": 0}',
    "two documents": b'{"data": []}{"data": []}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_event_is_refused(attacker, body):
    for target in (RUN, JOIN):
        assert attacker.post(target, body).status == 400


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000])
def test_numbers_that_no_browser_writes_are_refused(attacker, number):
    event = event_of(attacker, "read-folder")
    call = {"data": ["@", *attacker.usual(event)[1:]], "fn_index": event["id"], "session_hash": "abc"}
    assert attacker.post(JOIN, json.dumps(call).replace('"@"', number).encode()).status == 400


CHANGES = {
    "too few values": lambda call: call["data"].pop(),
    "too many values": lambda call: call["data"].append(None),
    "values by name": lambda call: call.update(data={"a": 1}),
    "no values": lambda call: call.pop("data"),
    "another event": lambda call: call.update(fn_index=99999),
    "event by name": lambda call: call.update(fn_index="start"),
    "event as a fraction": lambda call: call.update(fn_index=0.5),
    "event yes": lambda call: call.update(fn_index=True),
    "no event": lambda call: call.pop("fn_index"),
    "no session": lambda call: call.pop("session_hash"),
    "session as a path": lambda call: call.update(session_hash="../../x"),
    "session as a list": lambda call: call.update(session_hash=["a"]),
    "trigger as text": lambda call: call.update(trigger_id="x"),
    "batched": lambda call: call.update(batched=True),
    "simple format": lambda call: call.update(simple_format=True),
    "token": lambda call: call.update(oauth_token="x"),
    "event id": lambda call: call.update(event_id="x"),
    "NUL": lambda call: call["data"].__setitem__(0, "a\0b"),
    "half a character": lambda call: call["data"].__setitem__(0, "\ud800"),
    "half a character in a name": lambda call: call["data"].__setitem__(0, {"\ud800": 1}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_an_event_that_the_page_could_not_send_is_refused(attacker, change):
    for event in (event_of(attacker, "start"), next(event for event in attacker.handlers if not event["queue"])):
        call = {"data": attacker.usual(event), "fn_index": event["id"], "session_hash": "abc", "trigger_id": None}
        change(call)
        answer = attacker.post(RUN if not event["queue"] else JOIN, call)
        assert answer.status == 400
        assert set(json.loads(answer.body)) == {"error"}


META = {"_type": "gradio.FileData"}
FILES = {
    "of the machine": {"path": "/etc/passwd", "meta": META},
    "of the process": {"path": "/proc/self/environ", "meta": META},
    "of a run": {"path": "{workspace}/experiments/orange-cat/rollout/config.json", "meta": META},
    "a picture that is served": {"path": "{workspace}/reports/a.png", "meta": META},
    "through dots": {"path": "{workspace}/cache/page/../../presets", "meta": META},
    "relative": {"path": "cache/page", "meta": META},
    "the folder of uploads": {"path": "{workspace}/cache/page", "meta": META},
    "an address": {"path": "http://169.254.169.254/latest", "meta": META},
    "an address of the network": {"path": "https://example.com/a.png", "meta": META},
    "an address beside": {"path": "/etc/hostname", "url": "http://169.254.169.254/", "meta": META},
    "a stream": {"path": "{workspace}/cache/page/x", "is_stream": True, "meta": META},
    "a number": {"path": 3, "meta": META},
    "no path": {"path": None, "meta": META},
    "without the mark": {"path": "/etc/passwd"},
}


def placed(file: dict, workspace: Path) -> dict:
    return {key: value.format(workspace=workspace) if isinstance(value, str) else value for key, value in file.items()}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_no_file_can_be_named_that_was_not_uploaded(attacker, besieged, file):
    """In a file's place, in a text's, and deep inside: Gradio looks for files everywhere, and fetches addresses."""
    here = placed(file, besieged.workspace)
    for event in (event_of(attacker, "upload", "upload"), event_of(attacker, "inspect-upload", "upload"),
                  event_of(attacker, "import-file", "upload"), event_of(attacker, "start")):  # fmt: skip
        values = attacker.usual(event)
        for spelt in (here, [here], {"a": [{"b": here}]}):
            answer = attacker.call(event, [spelt, *values[1:]])
            assert answer.status == 400
            assert is_quiet(answer)


PLACES = {
    "a folder elsewhere": "{outside}/thathere",
    "a link out": "{workspace}/datasets/link",
    "a link out and on": "{workspace}/datasets/link/thathere",
    "dots": "{workspace}/datasets/../../../../../../..{outside}/thathere",
    "dots from the project": "../../../../../../../..{outside}/thathere",
    "nothing there": "{outside}/nothing",
    "home": "~",
    "somebody's home": "~nobody/x",
    "the root": "/",
    "the project": "core",
    "a blank before": " {outside}/thathere",
    "very long": "/" + "a" * 5000,
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_no_handler_looks_at_a_path_that_is_not_the_pages(attacker, besieged, outside, place):
    """Every option that names a folder, in every handler that takes it."""
    assert {name for name in option_specs() if name.endswith(("_dir", "_path", "_file_config"))} == PATH_OPTIONS
    path = place.format(outside=outside, workspace=besieged.workspace)
    options = {f"opt-{option}": path for option in PATH_OPTIONS}
    numbers = {attacker.names[name] for name in options}
    events = [event for event in attacker.handlers if numbers & set(event["inputs"])]
    told = [attacker.call(event, with_values(attacker, event, **options)).text for event in events]
    assert len(told) >= 6
    assert not any(SECRET in text or "model_index" in text or "feature_extractor" in text for text in told)
    for option in PATH_OPTIONS:
        sentence = f"{option} must lie in the workspace or in a folder that the page was started for"
        assert sum(sentence in text and ADVICE in text for text in told) >= 3


def shown(attacker: Attacker, name: str, path: str, event: dict) -> str:
    """What a handler answers, without what differs in every answer."""
    answer = attacker.call(event, with_values(attacker, event, **{name: path})).text
    line = next(line for line in answer.splitlines() if '"process_completed"' in line)
    return json.dumps(json.loads(line[5:])["output"]["data"]).replace(Path(path).name, "NAME")


def test_nobody_learns_what_lies_elsewhere(attacker, outside):
    there, nowhere = str(outside / "thathere"), str(outside / "thatgone")
    reading = event_of(attacker, "read-folder")
    assert shown(attacker, "opt-instance_data_dir", there, reading) == shown(
        attacker, "opt-instance_data_dir", nowhere, reading
    )
    starting = event_of(attacker, "start")
    for option in PATH_OPTIONS:
        assert shown(attacker, f"opt-{option}", there, starting) == shown(attacker, f"opt-{option}", nowhere, starting)


@pytest.mark.parametrize("place", ["{outside}/lora.safetensors", "{outside}", "{outside}/none.safetensors", "~/x", "/"])
def test_no_lora_elsewhere_is_inspected(attacker, besieged, outside, place):
    event, before = event_of(attacker, "inspect-start"), everything(besieged.workspace / "inspections")
    path = place.format(outside=outside)
    answer = attacker.call(event, with_values(attacker, event, **{"inspect-kind": "file", "inspect-path": path}))
    assert "upload it, or start the page with --allowed-path FOLDER" in answer.text
    assert everything(besieged.workspace / "inspections") == before


def test_a_config_as_text_names_no_folder_elsewhere(attacker, outside):
    event = event_of(attacker, "apply-text")
    for config in ({"instance_data_dir": str(outside)}, {"data": {"class_data_dir": "/etc"}},
                   {"model": {"pretrained_model_name_or_path": str(outside / "thathere")}}):  # fmt: skip
        answer = attacker.call(event, with_values(attacker, event, **{"config-text": json.dumps(config)}))
        assert ADVICE in answer.text
        assert is_quiet(answer)


def test_what_ships_with_the_project_and_names_of_the_hub_may_be_used(attacker):
    event = event_of(attacker, "start")
    for base in ("embedded", "embedded-flow", "some-owner/some-model", "some-model"):
        values = {"opt-pretrained_model_name_or_path": base, "opt-rank": 0}
        answer = attacker.call(event, with_values(attacker, event, **values))
        assert "rank must" in answer.text
        assert ADVICE not in answer.text
