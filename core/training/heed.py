"""Between two optimizer steps: what was asked for from outside. Nothing of it changes the training.

All processes of a training must leave a step together, or those that go on wait for the others for ever: the main one
looks, all of them hear.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from accelerate.utils import broadcast

from core.errors import RunError
from core.runs.process import stop_requested
from core.runs.records import record_event
from core.runs.requests import REQUESTS, Request, forget, is_requested
from core.training.report import Stopped
from core.training.validation import draw

if TYPE_CHECKING:
    from core.training.loop import Loop

POLL_SECONDS = 0.25
_STOP = 1 << len(REQUESTS)


def heed(loop: Loop) -> None:
    """Does what was asked for; returns when the next step may begin, after a pause at its end.

    Raises:
        Stopped: somebody asked the run to stop.
    """
    paused = ""
    while asked := _asked(loop):
        if asked & _STOP:
            raise Stopped
        if asked & _bit("save"):
            _honour(loop, "save", _save(loop))
        if asked & _bit("sample"):
            _honour(loop, "sample", _sample(loop))
            _show(loop, paused)
        if asked & _bit("pause"):
            if not paused:
                paused = f"paused after step {loop.step}; {_save(loop)}"
                _say(loop, "pause", paused)
                _show(loop, paused)
            time.sleep(POLL_SECONDS)
    if paused:
        _say(loop, "continue", f"went on after step {loop.step}")
        _show(loop, "")


def _asked(loop: Loop) -> int:
    """What stands, a bit each, as the main process sees it."""
    loop.report.beat()
    asked = sum(_bit(request) for request in REQUESTS if is_requested(loop.folder, request))
    return _from_main(loop, asked + _STOP * stop_requested(loop.folder))


def _from_main(loop: Loop, value: int) -> int:
    """The main process's value, in every process."""
    accelerator = loop.parts.accelerator
    if accelerator.num_processes == 1:
        return value
    told = broadcast(torch.tensor([value], device=accelerator.device))
    return int(told.item())  # type: ignore[union-attr]


def _bit(request: Request) -> int:
    return 1 << REQUESTS.index(request)


def _save(loop: Loop) -> str:
    """A checkpoint of this step where there is none; a disk that does not take it ends nothing."""
    if loop.step == 0:
        return "no step is taken yet, so there is nothing to save"
    problem = ""
    if loop.saved != loop.step:
        with loop.parts.whole_state():
            if loop.main:
                try:
                    loop.write_checkpoint()
                except RunError as error:
                    problem = str(error)
        if _from_main(loop, int(not problem)):
            loop.saved = loop.step
    return f"step {loop.step} could not be saved: {problem}" if problem else f"step {loop.step} is saved"


def _sample(loop: Loop) -> str:
    """The pictures of this step where there are none; trouble ends nothing here either."""
    config = loop.parts.config.validation
    if not config.validation_prompts:
        return "there are no validation_prompts to draw"
    if loop.main and loop.validated != loop.step:
        try:
            draw(loop.parts, loop.folder, loop.step, loop.report)
        except Stopped:
            return f"the pictures of step {loop.step} are not all drawn: somebody asked to stop"
        except RunError as error:
            return f"the pictures of step {loop.step} could not be drawn: {error}"
    return f"the pictures of step {loop.step} are drawn"


def _show(loop: Loop, paused: str) -> None:
    """The phase: paused, with these words, or training."""
    if paused:
        loop.report.phase("paused", paused, stoppable=False)
    else:
        loop.training_phase()


def _honour(loop: Loop, request: Request, text: str) -> None:
    """Says what was done, then takes the request away: whoever waits for that finds the event."""
    _say(loop, request, text)
    if loop.main:
        forget(loop.folder, request)
    loop.parts.wait_for_all()


def _say(loop: Loop, kind: str, text: str) -> None:
    if loop.main:
        record_event(loop.folder.events_path, kind, text, step=loop.step)
