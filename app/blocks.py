"""Gradio's page, made light for a timer that mostly finds nothing new, and patient with choices that are gone."""

from __future__ import annotations

import copy
from typing import Any

import gradio as gr

SKIPPED = gr.skip()
CHOICES = (gr.Dropdown, gr.Radio, gr.CheckboxGroup)


class Page(gr.Blocks):
    """A page whose skipped outputs cost nothing, and whose choices are looked up where they are used.

    Gradio makes a new component of each output that is skipped, as if its properties had been changed: some 0.5 ms
    each. The timer skips dozens at every look of every open tab, which took ten times as long as the look itself.

    It also compares a choice with the list that it sent last. That list may be newer than the one somebody chose from,
    and a server that was restarted has sent none: every look of an open tab would then be an error.
    """

    async def preprocess_data(
        self, block_fn: Any, inputs: list[Any], state: Any, explicit_call: bool = False
    ) -> list[Any]:
        """Hands on what was chosen as it came, texts and numbers only; handlers take no name for granted.

        Raises:
            gradio.Error: If a choice is something else.
        """
        chosen = {place for place, block in enumerate(block_fn.inputs) if isinstance(block, CHOICES)}
        if not chosen or len(inputs) != len(block_fn.inputs):
            return await super().preprocess_data(block_fn, inputs, state, explicit_call)
        others = copy.copy(block_fn)
        others.inputs = [block for place, block in enumerate(block_fn.inputs) if place not in chosen]
        rest = [value for place, value in enumerate(inputs) if place not in chosen]
        given = iter(await super().preprocess_data(others, rest, state, explicit_call))
        return [
            _choice(block, inputs[place]) if place in chosen else next(given)
            for place, block in enumerate(block_fn.inputs)
        ]

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        """Passes on what has changed, and fills the other places with the update that changes nothing."""
        count = len(block_fn.outputs)
        if count < 2 or block_fn.batch:
            return await super().postprocess_data(block_fn, predictions, state)
        values = [predictions] * count if _is_skipped(predictions) else predictions
        if not isinstance(values, list | tuple) or len(values) != count:
            return await super().postprocess_data(block_fn, predictions, state)
        kept = [place for place, value in enumerate(values) if not _is_skipped(value)]
        answer: list[Any] = [dict(SKIPPED) for _ in values]
        if kept:
            changed = copy.copy(block_fn)
            changed.outputs = [block_fn.outputs[place] for place in kept]
            given = [values[place] for place in kept]
            shown = await super().postprocess_data(changed, given if len(given) > 1 else given[0], state)
            for place, value in zip(kept, shown, strict=True):
                answer[place] = value
        return answer


def _choice(block: Any, value: Any) -> Any:
    """What was chosen from a list.

    Raises:
        gradio.Error: If it is nothing that a list can hold, or several where one is asked for.
    """
    several = isinstance(block, gr.CheckboxGroup) or getattr(block, "multiselect", False) is True
    found = value if isinstance(value, list) and several else [] if value is None else [value]
    if not all(isinstance(one, str | int | float) for one in found):
        raise gr.Error("A choice must be one of its list, got something else; reload the page.", print_exception=False)
    return found if several else value


def _is_skipped(value: Any) -> bool:
    return isinstance(value, dict) and value == SKIPPED
