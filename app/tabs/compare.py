"""Compare: did rollout help? Of a sweep: which settings score best? With pictures, numbers, and what may be taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.comparison import MOST_RUNS, Chosen, chosen_of, difference_html, judgement_of, verdict_html
from app.curves import curves_html, frontiers_html, sweeps_html
from app.html import empty, escape
from app.parts import Live, Parts, Rendered, text_output
from app.samples import samples_signature
from app.scoreboard import costs_html, scores_html
from app.sentences import LOOK_FOR
from app.serve import publish
from app.tabs import compare_export, compare_scoring, compare_vote
from app.viewer import pictures_html

NOTHING = (
    "Choose an experiment, or two to six runs. Nothing trained yet? The demo on the Home tab makes a first comparison."
)
NOT_CHOSEN = "Nothing is chosen yet."
VIEWS = [("Equal steps", "steps"), ("Equal compute", "compute")]
AXES = [
    ("Optimizer steps", "steps"),
    ("Forward equivalents", "forwards"),
    ("Seconds", "seconds"),
]
SECTIONS = ("verdict", "pictures", "scores", "costs", "frontiers", "sweeps", "curves", "difference")
NO_SWEEP = (
    "Not measured yet: scores at other numbers of sampling steps and at other guidance. A LoRA trained with rollout "
    "may earn its cost in fewer sampling steps. The button, or this command, measures them:"
)


def build(parts: Parts) -> None:
    """Makes the tab's components."""
    parts["compare.pick"] = gr.Dropdown(
        [],
        value=[],
        multiselect=True,
        max_choices=MOST_RUNS,
        label="An experiment, or two to six runs",
        interactive=True,
        filterable=False,
        elem_id="pick-compare",
    )
    parts["compare.verdict"] = text_output("verdict")
    gr.Markdown("## Pictures", elem_classes=["rw-heading"])
    gr.Markdown(LOOK_FOR, elem_classes=["rw-note"])
    parts["compare.pictures"] = text_output("compare-pictures")
    compare_vote.build(parts)
    gr.Markdown("## Scores", elem_classes=["rw-heading"])
    parts["compare.view"] = _radio(VIEWS, "What the arms are compared at", "view")
    parts["compare.scores"] = text_output("scores")
    gr.Markdown("## Cost", elem_classes=["rw-heading"])
    parts["compare.costs"] = text_output("costs")
    parts["compare.frontiers"] = text_output("frontiers")
    gr.Markdown("## Fewer sampling steps, more guidance", elem_classes=["rw-heading"])
    parts["compare.sweeps"] = text_output("sweeps")
    compare_scoring.build(parts)
    gr.Markdown("## Over the training", elem_classes=["rw-heading"])
    parts["compare.axis"] = _radio(AXES, "Curves over", "axis")
    parts["compare.curves"] = text_output("curves")
    gr.Markdown("## What differs in the settings", elem_classes=["rw-heading"])
    parts["compare.difference"] = text_output("config-difference")
    compare_export.build(parts)
    inputs = [parts["selection"], *(parts[f"compare.{name}"] for name in ("pick", "view", "axis"))]
    shown = [parts[f"compare.{name}"] for name in ("pick", *SECTIONS)]
    shown += [*compare_vote.outputs(parts), *compare_export.outputs(parts)]
    compare_scoring.follow(parts)
    parts.lives.append(Live("compare", "compare", inputs, shown, lambda known, *values: render(parts, known, *values)))


def _radio(choices: list[tuple[str, str]], label: str, name: str) -> gr.Radio:
    return gr.Radio(choices, value=choices[0][1], label=label, interactive=True, elem_id=f"compare-{name}")


def _allowed(choices: list[tuple[str, str]], value: Any) -> Any:
    """A choice of the browser's, the first where it is none."""
    return value if value in [name for _, name in choices] else choices[0][1]


def wire(parts: Parts) -> None:
    """Binds the tab's events."""
    for name in ("pick", "view", "axis"):
        parts[f"compare.{name}"].input(**parts.chains["tick"])
    compare_scoring.wire(parts)
    compare_vote.wire(parts)
    compare_export.wire(parts)


def choose(names: Sequence[str], selection: str, picked: Sequence[str], known_selection: str | None) -> list[str]:
    """What is compared: what the page looks at once that changes, else the choice, at first the newest experiment."""
    if known_selection != selection and selection in names:
        return [selection]
    kept = [name for name in picked if name in names]
    newest = [name for name in names if name.startswith("experiments/")][:1]
    return newest if known_selection is None and not kept else kept


def render(parts: Parts, known: str, selection: str, picked: list[str] | None, view: Any, axis: Any) -> Rendered:
    """What has changed on the tab: a part whose files and choice are as they were is not sent again."""
    found = parts.workbench.titles()
    before = _known(known)
    names = choose([name for _, name in found], selection, picked or [], before.get("selection"))
    chosen = chosen_of(parts.workbench, names)
    view, axis = _allowed(VIEWS, view), _allowed(AXES, axis)
    signatures = {"selection": selection, "pick": _short(found, names)} | _signatures(chosen, view, axis)
    changed = [name for name, signature in signatures.items() if before.get(name) != signature]
    if "pick" not in changed and list(picked or []) != names:  # what was chosen has gone meanwhile
        changed.append("pick")
    if not changed:
        return known, None
    for entry in chosen.entries:
        publish(entry)
    makers = _makers(parts, chosen, view, axis)

    def filled(name: str) -> Any:
        if name not in changed:
            return gr.skip()
        return parts.workbench.journals.kept(("compare", name, chosen.key, view, axis), signatures[name], makers[name])

    is_other = "chosen" in changed
    return json.dumps(signatures), [
        gr.update(choices=found, value=names) if "pick" in changed else gr.skip(),
        *(filled(name) for name in SECTIONS),
        *(compare_vote.nothing() if is_other else [gr.skip()] * len(compare_vote.outputs(parts))),
        *(compare_export.nothing() if is_other else [gr.skip()] * len(compare_export.outputs(parts))),
    ]


def _signatures(chosen: Chosen, view: str, axis: str) -> dict[str, str]:
    """What each part shows, in short; it changes whenever the part would."""
    records = [chosen.key, chosen.records]
    own = {
        "chosen": [chosen.key],
        "verdict": [records, chosen.final],
        "pictures": [chosen.key, [samples_signature(arm.folder) for arm in chosen.arms]],
        "scores": [records, view],
        "costs": [records, view],
        "frontiers": [records, view],
        "sweeps": records,
        "curves": [records, axis],
        "difference": [chosen.key],
    }
    return {name: _short(*what) for name, what in own.items()}


def _makers(parts: Parts, chosen: Chosen, view: Any, axis: Any) -> dict[str, Callable[[], str]]:
    """How each part is made."""
    workbench = parts.workbench
    journals = workbench.journals
    if not chosen.runs:
        waiting = dict.fromkeys(("costs", "sweeps", "curves", "difference"), lambda: empty(NOT_CHOSEN))
        return dict.fromkeys(SECTIONS, str) | waiting | {"verdict": lambda: empty(NOTHING)}

    def scores() -> str:
        return scores_html(*judgement_of(journals, chosen, view), view)

    return {
        "verdict": lambda: verdict_html(journals, chosen),
        "pictures": lambda: pictures_html(chosen),
        "scores": scores,
        "costs": lambda: costs_html(judgement_of(journals, chosen, view)[0]),
        "frontiers": lambda: frontiers_html(workbench, chosen, view),
        "sweeps": lambda: sweeps_html(workbench, chosen) or _no_sweep(chosen),
        "curves": lambda: curves_html(workbench, chosen, axis),
        "difference": lambda: difference_html(chosen),
    }


def _no_sweep(chosen: Chosen) -> str:
    what = chosen.experiment.name if chosen.experiment is not None else chosen.entries[0].selection.name
    return f'{empty(NO_SWEEP)}<p class="rw-command">{escape(f"python -m core score {what}")}</p>'


def _known(text: str) -> dict[str, Any]:
    """The signatures that the browser holds; not trusted."""
    try:
        found = json.loads(text) if text else {}
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _short(*what: Any) -> str:
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]
