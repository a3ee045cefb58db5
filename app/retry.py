"""[Apply and retry]: a failed training again, with the options changed that its failure asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.design import OTHER_ARMS, Design
from app.entries import Entry
from app.form import values_of
from app.html import checklist
from app.parts import ACT, Live, Parts, Rendered, go_to
from core.config.flat import flatten
from core.config.presets import DEFAULT_PRESET
from core.config.run import RunConfig
from core.config.spec import show_value
from core.errors import WorkbenchError
from core.runs.arms import changed, is_sweep
from core.runs.experiment_folder import Experiment
from core.runs.folder import RunFolder
from core.runs.remedies import remedy_for

BUTTON = "Apply and retry"
GONE = "the training to retry must be one that failed for a reason that an option can mend; reload the page"


@dataclass(frozen=True)
class Retry:
    """What would be tried.

    Attributes:
        config: The training's shared settings, changed.
        before: Flat names and old values of what is changed.
        design: The comparison as it was.
        preset: Where the settings came from, as far as that is known.
        title: What the training was called.
    """

    config: RunConfig
    before: Mapping[str, Any]
    design: Design
    preset: str
    title: str

    @property
    def words(self) -> str:
        """Each change, old and new value."""
        now = flatten(self.config)
        return ", ".join(f"{name} {show_value(old)} → {show_value(now[name])}" for name, old in self.before.items())


def retry_of(entry: Entry | None) -> Retry | None:
    """What to try after a failure; None where nothing failed, or no option would help."""
    failed = next((arm for arm in entry.arms if arm.state.label == "failed"), None) if entry is not None else None
    if entry is None or failed is None:
        return None
    remedy = remedy_for(f"{failed.state.message} {failed.state.hint}")
    shared = _shared(entry)
    if remedy is None or shared is None:
        return None
    try:
        config = shared.config()
        changes = remedy.changes(config)
        tried = changed(config, changes)
    except WorkbenchError:  # settings of an older version, or none that can be read: there is nothing to start from
        return None
    was, preset = flatten(config), shared.meta().get("preset")
    if not changes:
        return None
    design = _design(entry)
    return Retry(tried, {name: was[name] for name in changes}, design, str(preset or DEFAULT_PRESET), entry.title)


def _shared(entry: Entry) -> RunFolder | None:
    """The run whose config is what all arms share: the first that changes nothing of it; None for a sweep's arms."""
    if not entry.selection.is_experiment:
        return entry.arms[0].folder
    experiment = Experiment(entry.arms[0].folder.path.parent)
    if is_sweep(arm.arm for arm in experiment.arms):
        return None
    return next((arm.run for arm in experiment.arms if not arm.changes), None)


def _design(entry: Entry) -> Design:
    if not entry.selection.is_experiment:
        return Design("single")
    experiment = Experiment(entry.arms[0].folder.path.parent)
    beside = tuple(dict.fromkeys(arm.arm for arm in experiment.arms if arm.arm in OTHER_ARMS))
    return Design("ab", beside, max(len(experiment.seeds), 1), experiment.primary)


def build(parts: Parts) -> None:
    """Makes the button; it is seen beside a failure that an option can mend."""
    made = gr.Button(BUTTON, visible=False, scale=0, min_width=150, elem_id="retry")
    parts["monitor.retry"] = made
    parts.lives.append(
        Live(
            "monitor.retry", "monitor", [parts["selection"]], [made], lambda known, picked: render(parts, known, picked)
        )
    )


def render(parts: Parts, known: str, picked: str) -> Rendered:
    """Whether there is something to try."""
    signature = str(retry_of(parts.workbench.entry(picked)) is not None)
    return (known, None) if signature == known else (signature, [gr.Button(visible=signature == "True")])


def wire(parts: Parts) -> None:
    """Binds the button: the changed settings come into the form, and Launch shows what they would take."""
    design = [parts[f"launch.{slot}"] for slot in ("mode", "arms-beside", "seeds", "primary", "name")]
    filled = [*parts.options, parts["configure.preset"], *design, parts["tabs"], parts["launch.message"]]
    parts["monitor.retry"].click(
        lambda picked: apply(parts, picked, len(filled)), parts["selection"], [*filled, parts["monitor.message"]], **ACT
    ).then(**parts.chains["review"]).then(**parts.chains["preview"]).then(**parts.chains["keep"])


def apply(parts: Parts, picked: str, count: int) -> list[Any]:
    """Fills the form and goes to Launch, where one more click starts it; says why not where there is nothing to try.

    Args:
        parts: The page's parts.
        picked: The selection.
        count: How many components are filled.
    """
    found = retry_of(parts.workbench.entry(picked))
    if found is None:
        return [*[gr.skip()] * count, checklist([("fail", BUTTON, GONE)])]
    preset = found.preset if found.preset in parts.workbench.presets() else DEFAULT_PRESET
    design = found.design
    text = f"{found.words}. Look at what it takes, then start it; {found.title} stays as it is."
    return [
        *values_of(found.config), preset, design.mode, list(design.arms), design.seeds, design.primary,
        f"{found.title} retry", go_to("launch"), checklist([("info", "Changed for another try", text)]), "",
    ]  # fmt: skip
