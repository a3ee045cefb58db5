"""The page as a server: what Gradio is told, and the guard in front of it."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from gradio.utils import get_upload_folder

from app.calls import Takes
from app.guard import Guard
from app.hosts import hosts_of
from app.login import Login, pairs_of
from app.page import build_page
from app.paths import AllowedPaths
from app.queueing import go_on
from app.refusals import Rules
from app.serve import may_serve
from app.theme import STYLE_SHEET, theme
from app.uploads import MAX_UPLOAD, Uploads
from app.viewer import head
from app.workbench import Workbench
from core.runs.reconcile import reconcile
from core.runs.workspace import Workspace

VISITS = 100
"""Of which Gradio remembers what it sent, 0.7 MB each; the oldest is forgotten first, and loses nothing by it."""


def launch(workspace: Workspace, arguments: argparse.Namespace) -> str:
    """Serves the page in the background and returns its address."""
    # the viewer's table stands in a script element that is data: it need not run
    warnings.filterwarnings("ignore", message="A `<script>` tag was found", category=UserWarning)
    paths = AllowedPaths(workspace.root, [Path(folder).expanduser() for folder in arguments.allowed_path])
    for line in reconcile(workspace):
        print(line, flush=True)
    go_on(workspace)
    page = build_page(Workbench(workspace, paths))
    pairs = None if arguments.auth is None else pairs_of(arguments.auth)
    hosts = hosts_of(arguments.server_name, arguments.allowed_host, share=arguments.share)
    rules = Rules(hosts, may_serve, int(arguments.server_port), login=pairs is not None)
    _, address, _ = page.queue(api_open=False).launch(
        server_name=in_url(arguments.server_name),
        server_port=int(arguments.server_port),
        share=arguments.share,
        root_path=arguments.root_path,
        auth=None if pairs is None else Login(pairs),
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
        max_file_size=MAX_UPLOAD,
        state_session_capacity=VISITS,
        theme=theme(),
        css_paths=STYLE_SHEET,
        head=head() + stale_script(),
        app_kwargs={"lifespan": guarded(page, rules)},
    )
    return address


def stale_script() -> str:
    """What loads a page again whose server was started anew."""
    script = Path(__file__).with_name("stale.js").read_text(encoding="utf-8")
    return f"<script>{script}</script>"


def in_url(name: str) -> str:
    """An address as it stands in a URL: one of IPv6 in brackets."""
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


def guarded(page: gr.Blocks, rules: Rules) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Puts the guard before everything, Gradio's own layers included, before the first request is taken.

    A layer that is given to ``launch`` would come after Gradio's, which answer some requests themselves.
    """

    def kind(block: Any) -> Literal["any", "file", "files"]:
        if not isinstance(block, gr.File | gr.UploadButton):
            return "any"
        return "file" if block.file_count == "single" else "files"

    @cache  # the page is complete before the first request, and what it takes is asked for at each
    def takes() -> Takes:
        return {index: [kind(block) for block in event.inputs] for index, event in page.fns.items()}

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        app.middleware_stack = Guard(app.middleware_stack, rules, Uploads(Path(get_upload_folder())), takes)
        yield

    return lifespan
