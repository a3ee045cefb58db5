"""Open Monitor tabs without a browser: one light process that asks the page for what their timers would.

``python -m core.bench.tabs ADDRESS SELECTION TABS`` reads numbers of seconds from its input, a line each. For so long
the tabs look, then what came of it is printed as one line of JSON. All tabs share one process, keep their connections
and render nothing, so that what is measured is the page.
"""

import json
import re
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

PERIOD = 2.0
"""Seconds between two looks of a tab; the page's own timer."""
TIMEOUT = 60
HEADERS = {"Content-Type": "application/json", "x-gradio-user": "app"}
DESCRIPTION = re.compile(r"window\.gradio_config = (\{.*?\});</script>", re.DOTALL)
"""The page's description of itself, which stands in its first answer."""
PICTURE = re.compile(r'src="(gradio_api/file=[^"]+)"')


@dataclass(frozen=True)
class Recording:
    """What a tab sends at each look, read from the page's own description of itself, which a browser follows too.

    Attributes:
        function: The event's number.
        trigger: The timer's number.
        inputs: Components whose values are sent, in order.
        outputs: Components that the answer fills, in order.
        values: What the inputs hold in a tab that has just opened on Monitor.
        cookie: What the visit of the page set; empty where it set nothing.
    """

    function: int
    trigger: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    values: Mapping[int, Any]
    cookie: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any], selection: str, cookie: str = "") -> "Recording":
        """The timer's event, for a tab that shows a run or an experiment on Monitor."""
        timers = {part["id"] for part in config["components"] if part["type"] == "timer"}
        for event in config["dependencies"]:
            trigger = next((part for part, name in event["targets"] if part in timers and name == "tick"), None)
            if trigger is not None:
                inputs, held = tuple(event["inputs"]), {part["id"]: part["props"] for part in config["components"]}
                labels = {held[part].get("label"): part for part in inputs}
                values = {part: held[part].get("value") for part in inputs}
                values |= {labels["view"]: "monitor", labels["selection"]: selection}
                return cls(event["id"], trigger, inputs, tuple(event["outputs"]), values, cookie)
        raise LookupError("the page must have a timer, got a description without one")


@dataclass
class Looked:
    """What came of the looks of some seconds.

    Attributes:
        answers: Seconds that each look took, until the last byte of its answer.
        errors: What went wrong, a sentence each.
        bytes: Received, headers left out.
        pictures: Sample pictures fetched; a tab fetches each once, as a browser does.
        drawings: Distinct drawings that were received, by the number of the component that shows them.
        cpu: Processor seconds that this process took for it.
    """

    answers: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bytes: int = 0
    pictures: int = 0
    drawings: dict[int, set[int]] = field(default_factory=dict)
    cpu: float = 0.0


class Tab:
    """One open tab. It keeps what it shows, and sends the signatures of that along, as the browser does."""

    def __init__(self, address: str, recording: Recording) -> None:
        self._address = urlsplit(address)
        self._connection = HTTPConnection(self._address.netloc, timeout=TIMEOUT)
        self._recording = recording
        self._values = dict(recording.values)
        self._session = secrets.token_hex(6)
        self._fetched: set[str] = set()

    def stay(self, first: float, until: float, looked: Looked) -> None:
        """Looks every ``PERIOD`` seconds from one moment of the monotonic clock to another; a late look is left out."""
        moment = first
        while moment < until:
            time.sleep(max(moment - time.monotonic(), 0.0))
            try:
                self._look(looked)
            except (OSError, HTTPException) as error:
                looked.errors.append(f"{type(error).__name__}: {error}")
            moment += PERIOD * (1 + max(time.monotonic() - moment, 0.0) // PERIOD)
        self._connection.close()

    def message(self) -> dict[str, Any]:
        """What the next look sends."""
        recording = self._recording
        return {
            "data": [self._values[part] for part in recording.inputs], "fn_index": recording.function,
            "trigger_id": recording.trigger, "session_hash": self._session,
        }  # fmt: skip

    def _look(self, looked: Looked) -> None:
        began = time.monotonic()
        status, answer = self._ask("POST", "gradio_api/run/predict", json.dumps(self.message()))
        looked.answers.append(time.monotonic() - began)
        looked.bytes += len(answer)
        if status != 200:
            looked.errors.append(f"status {status}: {answer[:200].decode(errors='replace')}")
            return
        for part, value in zip(self._recording.outputs, json.loads(answer)["data"], strict=True):
            self._fill(part, value, looked)

    def _fill(self, part: int, value: Any, looked: Looked) -> None:
        if isinstance(value, dict) and value.get("__type__") == "update":
            if "value" not in value:
                return
            value = value["value"]
        if part in self._values:
            self._values[part] = value
        if not isinstance(value, str):
            return
        if "<svg" in value:
            looked.drawings.setdefault(part, set()).add(hash(value))
        for address in PICTURE.findall(value):
            if address not in self._fetched:
                self._fetched.add(address)
                self._fetch(address, looked)

    def _fetch(self, address: str, looked: Looked) -> None:
        status, answer = self._ask("GET", address)
        looked.bytes += len(answer)
        looked.pictures += 1
        if status != 200:
            looked.errors.append(f"status {status}: {address}")

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, bytes]:
        origin = f"{self._address.scheme}://{self._address.netloc}"
        headers = {**HEADERS, "Origin": origin, "Cookie": self._recording.cookie}
        self._connection.request(method, self._address.path + path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()


def recorded(address: str, selection: str) -> Recording:
    """What a Monitor tab of the page at an address sends."""
    with urlopen(address, timeout=TIMEOUT) as answer:
        found = DESCRIPTION.search(answer.read().decode())
        cookies = [given.partition(";")[0] for given in answer.headers.get_all("Set-Cookie", [])]
    if found is None:
        raise LookupError("the page must describe itself, got an answer without a description")
    return Recording.of(json.loads(found[1]), selection, "; ".join(cookies))


def look(tabs: list[Tab], seconds: float) -> Looked:
    """Lets all tabs look for some seconds, their timers evenly apart."""
    looked = [Looked() for _ in tabs]
    began, used = time.monotonic(), time.process_time()
    apart = min(PERIOD, seconds) / len(tabs)
    threads = [
        threading.Thread(target=tab.stay, args=(began + apart * place, began + seconds, looked[place]))
        for place, tab in enumerate(tabs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return together(looked, time.process_time() - used)


def together(looked: list[Looked], cpu: float) -> Looked:
    """What came of the looks of several tabs; a drawing that two of them received counts once."""
    drawings: dict[int, set[int]] = {}
    for one in looked:
        for part, found in one.drawings.items():
            drawings.setdefault(part, set()).update(found)
    return Looked(
        [seconds for one in looked for seconds in one.answers], [error for one in looked for error in one.errors],
        sum(one.bytes for one in looked), sum(one.pictures for one in looked), drawings, cpu,
    )  # fmt: skip


def main() -> None:
    """Looks for as many seconds as each line of the input says."""
    address, selection, count = sys.argv[1:]
    recording = recorded(address, selection)
    tabs = [Tab(address, recording) for _ in range(int(count))]
    for line in sys.stdin:
        facts = asdict(look(tabs, float(line)))
        print(json.dumps({**facts, "drawings": [len(found) for found in facts["drawings"].values()]}), flush=True)


if __name__ == "__main__":
    main()
