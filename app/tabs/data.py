"""Data: the subject's pictures, each with the exact prompt that will be encoded."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from app.datasets import SHOWN, advice, keep_upload, read_folder, thumbnail, warnings_of
from app.form import make_input
from app.html import Level, checklist, empty, escape, paragraph, table
from app.parts import ACT, QUIET, Parts, text_output
from app.paths import AllowedPaths
from app.prompts import Prompts, follow
from core.config.paths import model_folder, resolve_path
from core.config.spec import option_specs
from core.data.buckets import Size, bucket_of, buckets_in_force
from core.data.dreambooth import INSTANCE_PROMPT, Item, Listing
from core.data.groups import FOLDER_NAME
from core.data.prompts import tokens_read
from core.errors import DataError, WorkbenchError, printable

SUBJECT = ("instance_data_dir", "instance_prompt")
PRESERVATION = ("with_prior_preservation", "class_prompt", "class_data_dir", "num_class_images", "prior_loss_weight")
HERE = (*SUBJECT, "validation_prompts", *PRESERVATION)
"""Options whose input stands on this tab."""
READ_WITH = (
    "resolution", "pretrained_model_name_or_path", "masked_loss", "aspect_ratio_buckets", "single_file_config",
    "family",
)  # fmt: skip
"""Options of other tabs that decide what the table says."""
LONGEST_PROMPT = 2000
"""Characters of a prompt that the table shows."""


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    specs = option_specs()

    def add(name: str, **more: Any) -> None:
        parts.inputs[name] = make_input(specs[name], **more)

    with gr.Row(elem_classes=["rw-columns"]):
        with gr.Column(scale=5, min_width=320):
            gr.Markdown("## Your pictures", elem_classes=["rw-heading"])
            add("instance_data_dir", placeholder="/home/me/pictures/my-cat")
            with gr.Accordion("Or upload pictures", open=False, elem_classes=["rw-fold"]) as parts["data.fold"]:
                parts["data.name"] = gr.Textbox(
                    label="Name of the data set", value="my-pictures", interactive=True, max_lines=1
                )
                parts["data.files"] = gr.File(
                    label="Pictures (png, jpg, jpeg, webp, bmp) and caption files (txt, caption)",
                    file_count="multiple",
                    file_types=[".png", ".jpg", ".jpeg", ".webp", ".bmp", ".txt", ".caption"],
                    height=140,
                    elem_id="upload",
                )
                gr.Markdown("They are copied into the workspace.", elem_classes=["rw-note"])
            add("instance_prompt")
            add("validation_prompts")
            with gr.Row(elem_classes=["rw-actions"]):
                parts["data.start"] = gr.Button(
                    "Start A/B", variant="primary", scale=0, min_width=140, elem_id="data-start"
                )
                parts["data.read"] = gr.Button("Read the folder", scale=0, min_width=150, elem_id="read-folder")
            parts["data.message"] = text_output("data-message")
            parts["data.followed"] = gr.Textbox(value="", visible=False, label="followed")
            with gr.Accordion(
                "Prior preservation: keep what the class looks like", open=False, elem_classes=["rw-fold"]
            ):
                for name in PRESERVATION:
                    add(name)
        with gr.Column(scale=6, min_width=320):
            gr.Markdown("## What will be learnt", elem_classes=["rw-heading"])
            parts["data.table"] = text_output("data-table")


def share(parts: Parts) -> None:
    """Names the events that other tabs use too."""
    source = [parts.inputs[name] for name in (*SUBJECT, *READ_WITH)]
    parts.chains["listing"] = {
        "fn": lambda *values: show_listing(parts.workbench.paths, *values),
        "inputs": source,
        "outputs": parts["data.table"],
        **QUIET,
    }


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    inputs = parts.inputs
    gr.on(
        [
            inputs["instance_data_dir"].submit,
            inputs["instance_data_dir"].blur,
            inputs["instance_prompt"].blur,
            parts["data.read"].click,
        ],
        **parts.chains["listing"],
    )
    mine = [inputs[name] for name in ("instance_prompt", "class_prompt", "validation_prompts")]
    inputs["instance_prompt"].blur(
        lambda preset, followed, *texts: follow_prompt(parts, preset, followed, *texts),
        [parts["configure.preset"], parts["data.followed"], *mine],
        [*mine[1:], parts["data.followed"], parts["data.message"]],
        **QUIET,
    ).then(**parts.chains["preview"]).then(**parts.chains["keep"])
    kept = parts["data.files"].upload(
        lambda files, name: upload(parts, files, name),
        [parts["data.files"], parts["data.name"]],
        [inputs["instance_data_dir"], parts["data.fold"], parts["data.message"]],
        **ACT,
    )
    kept.then(**parts.chains["listing"]).then(**parts.chains["preview"]).then(**parts.chains["keep"])
    parts["data.start"].click(lambda: ("ab", ""), None, [parts["launch.mode"], parts["launch.name"]], **ACT).then(
        **parts.chains["start"]
    ).then(**parts.chains["remember"]).then(**parts.chains["tick"])


def follow_prompt(parts: Parts, preset: str, followed: str, instance: str, of_class: str, samples: str) -> list[Any]:
    """Class prompt and sample prompts for a new instance prompt, unless somebody has written their own.

    Args:
        parts: The page's parts.
        preset: The preset whose prompts are the model.
        followed: What this function wrote last, so that it may be replaced.
        instance: The instance prompt as it is now.
        of_class: The class prompt as it is now.
        samples: The sample prompts as they are now, one a line.
    """
    nothing = [gr.skip()] * 4
    presets = parts.workbench.presets()
    if preset not in presets or not (instance or "").strip():
        return nothing
    model = Prompts.of(presets[preset].config)
    written = json.dumps([of_class or "", samples or ""])
    untouched = json.dumps([model.of_class or "", "\n".join(model.samples)])
    made = follow(model, instance.strip())
    fresh = [made.of_class or "", "\n".join(made.samples)]
    if written not in {untouched, followed} or json.dumps(fresh) == written:
        return nothing
    note = "The sample prompts follow the instance prompt, and so does the class prompt. Change them as you like."
    if made.of_class == model.of_class and made.instance != model.instance and model.of_class:
        note = "The sample prompts follow the instance prompt. Check the class prompt under Prior preservation."
    return [*fresh, json.dumps(fresh), paragraph(note)]


def upload(parts: Parts, files: list[str] | None, name: str) -> tuple[Any, Any, str]:
    """Copies an upload into the workspace; returns its folder for the form, the fold closed, and what to say."""
    try:
        parts.workbench.workspace.check_there()
        folder = keep_upload(parts.workbench.workspace.datasets_dir, str(name), [Path(file) for file in files or []])
    except DataError as error:
        return gr.skip(), gr.skip(), checklist([("fail", "Upload", problem.message) for problem in error.problems])
    except WorkbenchError as error:
        return gr.skip(), gr.skip(), checklist([("fail", "Upload", str(error))])
    return str(folder), gr.Accordion(open=False), checklist([("pass", "Uploaded", f"The pictures are in {folder}.")])


def show_listing(
    paths: AllowedPaths, folder: str, instance_prompt: str, resolution: float | None, base: str | None = None,
    masked: bool | None = False, buckets: str | None = None, lent: str | None = None, family: str = "stable_diffusion",
) -> str:  # fmt: skip
    """The pictures of the folder, or everything that is wrong with it."""
    if not folder or not str(folder).strip():
        return empty("Give a folder of 4 or more pictures, or upload some.")
    problem = paths.problem("instance_data_dir", folder)
    if problem is not None:
        return checklist([("fail", problem.option, problem.message)])
    try:
        listing = read_folder(resolve_path(str(folder).strip()), instance_prompt or "", masked=masked is True)
    except DataError as error:
        return checklist([("fail", problem.option, problem.message) for problem in error.problems])
    side = int(resolution) if resolution is not None and math.isfinite(resolution) else 0
    most, sizes = tokens_read(_folder_of(base, lent, paths), family), _sizes(buckets, side)
    return listing_html(listing, side, most, masked=masked is True, sizes=sizes)


def _folder_of(base: str | None, lent: str | None, paths: AllowedPaths) -> Path | None:
    """Where a base model is described, in a place that the page may look into; a single file in the lent folder."""
    option, name = ("single_file_config", lent) if lent else ("pretrained_model_name_or_path", base)
    return None if not name or paths.problem(option, name) is not None else model_folder(name)


def listing_html(
    listing: Listing, resolution: int, most: int, *, masked: bool = False, sizes: Sequence[Size] = ()
) -> str:
    """The table: picture, size, prompt and where it comes from, warnings; then what was passed over and why.

    Args:
        listing: The pictures.
        resolution: Side of the square that is trained on, in pixels.
        most: Tokens of a prompt that the text encoder reads.
        masked: Whether masks count.
        sizes: The buckets; the square of the resolution where none are given.
    """
    notes = warnings_of(listing, resolution, most, sizes)
    head = ["Picture", "File", "Size (pixels)", "Trained as", "Prompt", *(["Note"] if any(notes.values()) else [])]
    rows = [
        [
            _image(item.path),
            escape(printable(item.name)),
            f"{item.width} × {item.height}",
            _trained_as(item, sizes or [(resolution, resolution)], masked),
            f"<q>{escape(_shown(item.prompt))}</q><small>from {_source(item.prompt_source)}</small>",
            escape("; ".join(notes[item.path])),
        ][: len(head)]
        for item in listing.items[:SHOWN]
    ]
    caption = f"{len(listing.items)} pictures; the prompt is what will be encoded, word for word"
    parts = [table(head, rows, caption, raw=True)]
    if len(listing.items) > SHOWN:
        parts.append(f'<p class="rw-text">and {len(listing.items) - SHOWN} more pictures.</p>')
    found: list[tuple[Level, str, str]] = []
    found.extend(("warn", "Pictures", line) for line in advice(listing, most))
    found.extend(("info", name, f"passed over: {why}") for name, why in listing.skipped)
    return "".join(parts) + (checklist(found) if found else "")


def _shown(prompt: str) -> str:
    """A prompt, of a very long one the beginning: what is left out here is far beyond what a text encoder reads."""
    rest = len(prompt) - LONGEST_PROMPT
    return prompt if rest <= 0 else f"{prompt[:LONGEST_PROMPT]}… and {rest} more characters"


def _sizes(buckets: str | None, side: int) -> tuple[Size, ...]:
    """The sizes that pictures are trained at; none while what is typed is no list of buckets."""
    try:
        return buckets_in_force(buckets.strip() if buckets and buckets.strip() else None, side)
    except ValueError:
        return ()


def _trained_as(item: Item, sizes: Sequence[Size], masked: bool) -> str:
    """The size that a picture is trained at, how often it comes in an epoch, and its mask."""
    lines = [f"{item.repeats} times an epoch"] if item.repeats > 1 else []
    if item.mask is not None:
        lines.append(f"mask {printable(item.mask.name)}{'' if masked else ', not used: masked_loss is off'}")
    elif masked:
        lines.append("no mask: counts whole")
    width, height = bucket_of((item.width, item.height), sizes)
    size = f"{width} × {height}" if width > 0 else ""
    return size + "".join(f"<small>{escape(line)}</small>" for line in lines)


def _source(name: str) -> str:
    known = {INSTANCE_PROMPT: "the instance prompt", FOLDER_NAME: "the folder's name"}
    return known[name] if name in known else escape(name)


def _image(path: Path) -> str:
    """A thumbnail; the file can change, or go, while the table is made."""
    alt = escape(printable(path.name))
    try:
        return f'<img class="rw-thumb" src="{thumbnail(path, path.stat().st_mtime)}" alt="{alt}">'
    except (OSError, DataError):
        return f"{alt} cannot be read any more"
