"""The fields of a sweep on the Launch tab."""

from __future__ import annotations

import gradio as gr

from app.parts import Parts, text_output
from app.sweeping import EXAMPLE, HELP


def build(parts: Parts) -> None:
    """Values, the cap, and what is wrong with them, right below."""
    with gr.Column(visible=False, elem_classes=["rw-design"]) as parts["launch.sweep"]:
        parts["launch.sweep-over"] = gr.Textbox(
            "",
            label="Options and their values",
            info=HELP,
            placeholder=EXAMPLE,
            lines=3,
            interactive=True,
            elem_id="sweep-over",
            elem_classes=["rw-option"],
        )
        parts["launch.sweep-note"] = text_output("sweep-note")
        with gr.Row(elem_classes=["rw-fields", "rw-fields-two"]):
            parts["launch.sweep-minutes"] = gr.Number(
                None,
                label="Cap",
                info="Minutes that all trainings may take together, by forecast; empty is none.",
                interactive=True,
                elem_id="sweep-minutes",
                elem_classes=["rw-option"],
            )
            parts["launch.sweep-fit"] = gr.Checkbox(
                False,
                label="Take the cheapest that fit",
                info="Where not all fit under the cap; the reference is always trained.",
                interactive=True,
                elem_id="sweep-fit",
                elem_classes=["rw-option"],
            )
