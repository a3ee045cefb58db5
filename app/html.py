"""Small pieces of HTML for ``gr.HTML``. Text from files, names and people always goes through ``escape``."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from core.runs.check import Level

LEVEL_WORDS: dict[str, str] = {"pass": "OK", "warn": "Note", "fail": "Problem", "info": "Info"}


def escape(value: object) -> str:
    """Text that may stand in an element or in a quoted attribute."""
    return html.escape(str(value), quote=True)


def empty(text: str) -> str:
    """What an area without content says."""
    return f'<p class="rw-empty">{escape(text)}</p>'


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph; ``kind`` is a class of the style sheet without its prefix."""
    return f'<p class="rw-{kind or "text"}">{escape(text)}</p>'


def chip(state: str, text: str | None = None) -> str:
    """A state in a word, with a dot in its colour."""
    words = escape(state if text is None else text)
    return f'<span class="rw-chip rw-state-{escape(state)}"><span aria-hidden="true"></span>{words}</span>'


def cards(numbers: Mapping[str, tuple[str, str]]) -> str:
    """Figures beside each other: heading to (number with its unit, a line below)."""
    items = "".join(
        f'<div><dt>{escape(name)}</dt><dd><span class="rw-number">{escape(value)}</span>'
        f"<span>{escape(note)}</span></dd></div>"
        for name, (value, note) in numbers.items()
    )
    return f'<dl class="rw-cards">{items}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str, *, raw: bool = False) -> str:
    """A table with a caption for people who don't see it; ``raw`` cells are HTML already."""
    shown = (lambda cell: cell) if raw else escape
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{shown(row[0])}</th>{"".join(f"<td>{shown(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="rw-scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table class="rw-table">'
        f"<caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def checklist(checks: Iterable[tuple[Level, str, str]]) -> str:
    """Findings with their level in words: (level, title, what to do)."""
    items = "".join(
        f'<li class="rw-{level}"><strong>{LEVEL_WORDS[level]}: {escape(title)}</strong><span>{escape(text)}</span></li>'
        for level, title, text in checks
    )
    return f'<ul class="rw-checks">{items}</ul>'


def sentences(lines: Iterable[str]) -> str:
    """Plain sentences, one a line of a list."""
    return f'<ul class="rw-sentences">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def progress(value: float, text: str) -> str:
    """A bar from 0 to 1 with its words."""
    share = min(max(value, 0.0), 1.0)
    return (
        f'<progress class="rw-progress" max="1" value="{share:.4f}" aria-label="{escape(text)}">{share:.0%}</progress>'
    )


def figure(svg: str, title: str, help: str, summary: str, tables: str = "") -> str:
    """A plot with its heading, how to read it, its numbers in words, and in tables where there are any."""
    numbers = _fold("In numbers", title, tables) if tables else ""
    return (
        '<figure class="rw-figure">'
        f"<figcaption><strong>{escape(title)}</strong><span>{escape(help)}</span></figcaption>{svg}"
        f"{_fold('In words', title, f'<p>{escape(summary)}</p>')}{numbers}</figure>"
    )


def _fold(text: str, of: str, content: str) -> str:
    """What opens at a press; its name says of what, for people who don't see where it stands."""
    hidden = f'<span class="rw-unseen">: {escape(of)}</span>'
    return f"<details><summary>{escape(text)}{hidden}</summary>{content}</details>"


def figures(items: Iterable[str]) -> str:
    """Plots in columns, as many as fit."""
    return f'<div class="rw-figures">{"".join(items)}</div>'


def picture(url: str, alt: str, caption: str = "", side: int = 128) -> str:
    """One picture, enlarged without smoothing so that its own pixels are seen."""
    text = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    size = f'width="{side}" height="{side}"'
    image = f'<img src="{escape(url)}" alt="{escape(alt)}" {size} loading="lazy">'
    return f'<figure class="rw-picture">{image}{text}</figure>'
