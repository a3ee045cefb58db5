"""The page: the tabs in their order, what they share, and the timer that keeps them up to date."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import gradio as gr

from app import control
from app.blocks import Page
from app.form import values_of
from app.parts import QUIET, Parts
from app.shared import one_look
from app.tabs import TABS
from app.workbench import Workbench
from core.config.presets import DEFAULT_PRESET
from core.config.spec import option_specs

TITLE = "Rollout Workbench"
SECONDS = 2.0
"""Between two looks at the files."""
CACHE_AGE = (3600, 86400)
"""Seconds: how often the page's own cache is tidied, and how old its files get."""
SECRET = "rollout-workbench"
"""Of the draft in the browser's storage; fixed, so that it outlives a restart. It protects nothing worth hiding."""

VIEWED = """(...values) => {
  const panels = [...document.querySelectorAll('[id^="tab-"][role="tabpanel"]')];
  const shown = panels.find((panel) => panel.offsetParent !== null);
  const open = shown ? [...shown.querySelectorAll('.rw-fold > button.open')] : [];
  const folds = open.map((button) => button.parentElement.id).filter(Boolean);
  values[0] = document.hidden ? 'hidden' : (shown ? [shown.id.slice(4), ...folds].join(' ') : '');
  return values;
}"""
REMEMBER = """(run) => {
  const url = new URL(window.location);
  if (run) url.searchParams.set('run', run);
  url.searchParams.delete('tab');
  history.replaceState({}, '', url);
  return run;
}"""
SUBTITLE = "LoRA DreamBooth training with and without rollout, compared"
SKIP = '<a class="rw-skip" href="#tabs">To what the tab shows</a>'
HEADER = f'{SKIP}<header class="rw-header"><h1>{TITLE}</h1><p>{SUBTITLE}</p></header>'


def build_page(workbench: Workbench) -> gr.Blocks:
    """The whole page over one workspace."""
    return assemble(workbench)[0]


def assemble(workbench: Workbench) -> tuple[gr.Blocks, Parts]:
    """The page, and its parts for those who want to look into it."""
    parts = Parts(workbench)
    with Page(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=CACHE_AGE) as page:
        gr.HTML(HEADER)
        control.build(parts)
        for name in ("view", "seen", "selection"):
            parts[name] = gr.Textbox(value="", visible=False, label=name)
        parts["draft"] = gr.BrowserState("", storage_key="rollout-draft", secret=SECRET)
        parts["last"] = gr.BrowserState("", storage_key="rollout-last", secret=SECRET)
        with gr.Tabs(elem_id="tabs") as parts["tabs"]:
            for tab in TABS:
                with gr.Tab(tab.title, id=tab.name, elem_id=f"tab-{tab.name}") as parts[f"tab.{tab.name}"]:
                    tab.module.build(parts)
        _share(parts)
        for tab in TABS:
            tab.module.wire(parts)
        _wire(parts, page)
    return page, parts


def _share(parts: Parts) -> None:
    """Names the events that several tabs append to theirs, before any of them is wired."""
    sent = {component._id: component for live in parts.lives for component in live.inputs}
    inputs = [parts["view"], parts["seen"], *sent.values()]
    outputs = [*(component for live in parts.lives for component in live.outputs), parts["seen"]]

    def look(view: Any, seen: Any, *values: Any) -> Any:
        held = dict(zip(sent, values, strict=True))  # what several parts take is sent once
        return tick(parts, [view, seen, *(held[component._id] for live in parts.lives for component in live.inputs)])

    parts.chains["tick"] = {
        "fn": look,
        "inputs": inputs,
        "outputs": outputs,
        "js": VIEWED,
        "queue": False,
        **QUIET,
    }
    parts.chains["remember"] = {
        "fn": lambda run: run,
        "inputs": parts["selection"],
        "outputs": parts["last"],
        "js": REMEMBER,
        **QUIET,
    }
    for tab in TABS:
        tab.share(parts)


def _wire(parts: Parts, page: gr.Blocks) -> None:
    gr.Timer(SECONDS).tick(**{**parts.chains["tick"], "trigger_mode": "once"})  # the next one comes soon enough
    parts["tabs"].change(**parts.chains["tick"])
    control.wire(parts)

    def load(draft: Any, last: Any, request: gr.Request) -> list[Any]:
        return restore(parts, draft, last, dict(request.query_params))

    page.load(
        load,
        [parts["draft"], parts["last"]],
        [
            *parts.options,
            parts["configure.preset"],
            parts["configure.imported"],
            parts["selection"],
            parts["tabs"],
        ],
        **QUIET,
    ).then(**parts.chains["tick"]).then(**parts.chains["preview"]).then(**parts.chains["listing"]).then(
        **parts.chains["review"]
    ).then(**parts.chains["settle"])


def tick(parts: Parts, values: Sequence[Any]) -> Any:
    """Whatever changed on the tab that is shown; nothing otherwise.

    Args:
        parts: The page's parts.
        values: Name of the shown tab with the ids of its open folds behind it, signatures of what it shows as JSON,
            then the inputs of all live parts in order.
    """
    view, seen_text, *rest = values
    if view == "hidden":
        return gr.skip()
    with one_look():
        return _changes(parts, str(view).split(" "), _signatures(seen_text), rest)


def _changes(parts: Parts, view: Sequence[str], seen: dict[str, str], rest: Sequence[Any]) -> Any:
    results: list[Any] = []
    changed, place = False, 0
    for live in parts.lives:
        own = rest[place : place + len(live.inputs)]
        place += len(live.inputs)
        if live.tab in {"", view[0]} and live.fold in {"", *view[1:]}:
            signature, filled = live.render(seen.get(live.name, ""), *own)
            if filled is not None:
                seen[live.name] = signature
                results += filled
                changed = True
                continue
        results += [gr.skip() for _ in live.outputs]
    return [*results, json.dumps(seen)] if changed else gr.skip()


def _signatures(text: Any) -> dict[str, str]:
    """What the browser says that it shows; anything odd means nothing."""
    try:
        found = json.loads(text) if text else {}
    except (TypeError, json.JSONDecodeError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def restore(parts: Parts, draft: Any, last: Any, query: dict[str, str]) -> list[Any]:
    """Form, selection and tab after a (re)load: from the address, else from this browser, else the demo preset.

    Nothing of it is trusted: what does not fit is left out.
    """
    workbench = parts.workbench
    values, preset, imported = _draft(parts, draft)
    entry = workbench.entry(query.get("run", last)) or workbench.active() or next(iter(workbench.recent(1)[0]), None)
    tab = query.get("tab", "")
    names = [known.name for known in TABS]
    return [
        *values,
        preset,
        imported,
        str(entry.selection) if entry else "",
        gr.Tabs(selected=tab) if tab in names else gr.skip(),
    ]


def _draft(parts: Parts, draft: Any) -> tuple[list[Any], str, str]:
    """The form's values, its preset, and what is kept of an import."""
    presets = parts.workbench.presets()
    try:
        found = json.loads(draft) if draft else {}
        values, preset = found["values"], found["preset"]
        if preset in presets and isinstance(values, list) and len(values) == len(option_specs()):
            imported = found.get("imported", "")
            return values, preset, imported if isinstance(imported, str) else ""
    except (TypeError, KeyError, json.JSONDecodeError):
        pass
    return values_of(parts.workbench.preset(DEFAULT_PRESET).config), DEFAULT_PRESET, ""
