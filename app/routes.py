"""The addresses that the page itself asks for. Everything else that Gradio would answer is closed."""

from __future__ import annotations

import re
from dataclasses import dataclass

API = "/gradio_api/"
FILE = f"{API}file="
UPLOAD = f"{API}upload"
CALLS = (f"{API}queue/join", f"{API}run/predict")
"""Where the page's script sends its events."""
PAGE_QUERY = frozenset({"run", "tab", "__theme", "__lang"})
"""What may stand behind the ``?`` of the page; Gradio takes more, and answers some of it before the login."""


@dataclass(frozen=True)
class Route:
    """One address that is open.

    Attributes:
        methods: HTTP methods.
        pattern: Of the path.
        why: What needs it.
        open: Whether it is answered before the page was visited.
    """

    methods: tuple[str, ...]
    pattern: str
    why: str
    open: bool = False


ROUTES = (
    Route(("GET", "HEAD"), r"/", "the page", open=True),
    Route(("GET",), r"/(assets|static)/[\w./@~-]+", "its scripts, styles and fonts", open=True),
    Route(("GET",), r"/theme\.css", "its colours", open=True),
    Route(("GET",), r"/favicon\.ico", "its icon", open=True),
    Route(("GET",), f"{API}startup-events", "the server asks itself, once, before it says that it is ready", open=True),
    Route(("GET",), f"{API}app_id", "a page whose server was restarted finds that out", open=True),
    Route(("POST",), f"({'|'.join(CALLS)})", "events"),
    Route(("GET",), f"{API}queue/data", "their answers"),
    Route(("POST",), UPLOAD, "uploads"),
    Route(("GET",), f"{API}upload_progress", "their progress"),
    Route(("GET", "HEAD"), f"{FILE}.+", "pictures of what is shown, and downloads"),
)
LOGIN = Route(("POST",), r"/login", "the login")


def route_of(method: str, path: str, *, login: bool) -> Route | None:
    """The open route of a request, None where there is none.

    Args:
        method: HTTP method.
        path: Path of the request, decoded once, without a proxy's prefix.
        login: Whether the page asks for a login.
    """
    known = (*ROUTES, LOGIN) if login else ROUTES
    return next(
        (route for route in known if method in route.methods and re.fullmatch(route.pattern, path, re.DOTALL)), None
    )
