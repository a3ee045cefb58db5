"""The page: the tabs in their order, what they share, and the timer that keeps them up to date."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from app.form import values_of
from app.guard import LOCAL_HOSTS, MAX_BODY, Guard
from app.html import escape
from app.parts import ACT, QUIET, Live, Parts, Rendered, text_output
from app.tabs import TABS
from app.theme import STYLE_SHEET, theme
from app.view import strip
from app.viewer import head
from app.workbench import Workbench
from core.config.presets import DEFAULT_PRESET
from core.config.spec import option_specs
from core.errors import WorkbenchError
from core.runs.workspace import Workspace

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
  values[0] = document.hidden ? 'hidden' : (shown ? shown.id.slice(4) : '');
  return values;
}"""
REMEMBER = """(run) => {
  const url = new URL(window.location);
  if (run) url.searchParams.set('run', run);
  url.searchParams.delete('tab');
  history.replaceState({}, '', url);
  return run;
}"""
CONFIRM = (
    "(run) => { if (!confirm('Stop this training? It saves what it has.')) throw new Error('cancelled'); return run; }"
)
SUBTITLE = "LoRA DreamBooth training with and without rollout, compared"
HEADER = f'<header class="rw-header"><h1>{TITLE}</h1><p>{SUBTITLE}</p></header>'


def build_page(workbench: Workbench) -> gr.Blocks:
    """The whole page over one workspace."""
    return assemble(workbench)[0]


def assemble(workbench: Workbench) -> tuple[gr.Blocks, Parts]:
    """The page, and its parts for those who want to look into it."""
    parts = Parts(workbench)
    with gr.Blocks(title=TITLE, fill_width=True, analytics_enabled=False, delete_cache=CACHE_AGE) as page:
        gr.HTML(HEADER)
        with gr.Row(elem_classes=["rw-bar", "rw-top"]):
            parts["strip"] = text_output("strip", scale=1, min_width=240)
            parts["stop"] = gr.Button(
                "Stop", variant="stop", size="sm", scale=0, min_width=90, visible=False, elem_id="stop"
            )
        for name in ("view", "seen", "selection", "active"):
            parts[name] = gr.Textbox(value="", visible=False, label=name)
        parts["draft"] = gr.BrowserState("", storage_key="rollout-draft", secret=SECRET)
        parts["last"] = gr.BrowserState("", storage_key="rollout-last", secret=SECRET)
        with gr.Tabs(elem_id="tabs") as parts["tabs"]:
            for tab in TABS:
                with gr.Tab(tab.title, id=tab.name, elem_id=f"tab-{tab.name}") as parts[f"tab.{tab.name}"]:
                    tab.module.build(parts)
        ports = [parts["strip"], parts["stop"], parts["active"]]
        parts.lives.insert(0, Live("strip", "", [], ports, lambda known: render_strip(parts, known)))
        _share(parts)
        for tab in TABS:
            tab.module.wire(parts)
        _wire(parts, page)
    return page, parts


def _share(parts: Parts) -> None:
    """Names the events that several tabs append to theirs, before any of them is wired."""
    inputs = [parts["view"], parts["seen"], *(component for live in parts.lives for component in live.inputs)]
    outputs = [*(component for live in parts.lives for component in live.outputs), parts["seen"]]
    parts.chains["tick"] = {
        "fn": lambda *values: tick(parts, values),
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
    gr.on([gr.Timer(SECONDS).tick, parts["tabs"].change], **parts.chains["tick"], trigger_mode="once")
    parts["stop"].click(lambda run: stop(parts, run), parts["active"], None, js=CONFIRM, **ACT).then(
        **parts.chains["tick"]
    )

    def load(draft: Any, last: Any, request: gr.Request) -> list[Any]:
        return restore(parts, draft, last, dict(request.query_params))

    page.load(
        load,
        [parts["draft"], parts["last"]],
        [*parts.options, parts["configure.preset"], parts["selection"], parts["tabs"]],
        **QUIET,
    ).then(**parts.chains["tick"]).then(**parts.chains["preview"]).then(**parts.chains["listing"]).then(
        **parts.chains["review"]
    ).then(**parts.chains["settle"])


def tick(parts: Parts, values: Sequence[Any]) -> Any:
    """Whatever changed on the tab that is shown; nothing otherwise.

    Args:
        parts: The page's parts.
        values: Name of the shown tab, signatures of what it shows as JSON, then the inputs of all live parts in order.
    """
    view, seen_text, *rest = values
    if view == "hidden":
        return gr.skip()
    seen = _signatures(seen_text)
    results: list[Any] = []
    changed, place = False, 0
    for live in parts.lives:
        own = rest[place : place + len(live.inputs)]
        place += len(live.inputs)
        if live.tab in {"", view}:
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


def render_strip(parts: Parts, known: str) -> Rendered:
    """The line on what is running, and [Stop] while something is."""
    entry = parts.workbench.active()
    if entry is not None:
        parts.workbench.advance_stops(entry)
    html = strip(parts.workbench, entry)
    if html == known:
        return known, None
    return html, [
        html,
        gr.Button(visible=entry is not None and entry.label == "running"),
        str(entry.selection) if entry else "",
    ]


def stop(parts: Parts, run: str) -> None:
    """Asks for a stop and says that it did."""
    try:
        gr.Info(escape(parts.workbench.stop(run)))
    except WorkbenchError as error:
        raise gr.Error(escape(error)) from error


def restore(parts: Parts, draft: Any, last: Any, query: dict[str, str]) -> list[Any]:
    """Form, selection and tab after a (re)load: from the address, else from this browser, else the demo preset.

    Nothing of it is trusted: what does not fit is left out.
    """
    workbench = parts.workbench
    values, preset = _draft(parts, draft)
    entry = workbench.entry(query.get("run", last)) or workbench.active() or next(iter(workbench.entries()), None)
    tab = query.get("tab", "")
    names = [known.name for known in TABS]
    return [
        *values,
        preset,
        str(entry.selection) if entry else "",
        gr.Tabs(selected=tab) if tab in names else gr.skip(),
    ]


def _draft(parts: Parts, draft: Any) -> tuple[list[Any], str]:
    presets = parts.workbench.presets()
    try:
        found = json.loads(draft) if draft else {}
        values, preset = found["values"], found["preset"]
        if preset in presets and isinstance(values, list) and len(values) == len(option_specs()):
            return values, preset
    except (TypeError, KeyError, json.JSONDecodeError):
        pass
    return values_of(parts.workbench.preset(DEFAULT_PRESET).config), DEFAULT_PRESET


def launch(workspace: Workspace, arguments: argparse.Namespace) -> str:
    """Serves the page in the background and returns its address."""
    # the viewer's table stands in a script element that is data: it need not run
    warnings.filterwarnings("ignore", message="A `<script>` tag was found", category=UserWarning)
    page = build_page(Workbench(workspace))
    local = arguments.server_name in LOCAL_HOSTS
    hosts = frozenset({*LOCAL_HOSTS, *arguments.allowed_host}) if local and not arguments.share else None
    auth = [tuple(pair.split(":", 1)) for pair in arguments.auth.split(",")] if arguments.auth else None
    _, address, _ = page.queue(api_open=False).launch(
        server_name=arguments.server_name,
        server_port=int(arguments.server_port),
        share=arguments.share,
        root_path=arguments.root_path,
        auth=auth,  # type: ignore[arg-type]
        inbrowser=arguments.inbrowser,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        enable_monitoring=False,
        pwa=False,
        footer_links=["settings"],
        max_file_size=MAX_BODY,
        theme=theme(),
        css_paths=STYLE_SHEET,
        head=head(),
        app_kwargs={"middleware": [Middleware(Guard, hosts=hosts)]},
    )
    return address
