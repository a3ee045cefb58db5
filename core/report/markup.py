"""Small pieces of the report's HTML. All text goes through ``escape``."""

import html
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from core.plots.table import Table
from core.report.words import is_number


def escape(value: object) -> str:
    """Text that may stand in an element or in a quoted attribute."""
    return html.escape(str(value), quote=True)


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph; ``kind`` is a class of the style sheet."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(lines: Iterable[str]) -> str:
    """Plain sentences, one a line of a list; nothing without any."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def section(title: str, *parts: str) -> str:
    """A part of the page under its heading."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def links(files: Mapping[str, str], about: str) -> str:
    """Files beside the page: name to address."""
    items = "".join(
        f'<a href="{escape(address)}" aria-label="{escape(f"{about}: {name}")}">{escape(name)}</a>'
        for name, address in files.items()
    )
    return f'<div class="files">{items}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> str:
    """A table that scrolls by itself; rows that begin alike stand under one heading."""
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(_group(name, list(group)) for name, group in groupby(rows, key=lambda row: row[0]))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _group(name: str, rows: Sequence[Sequence[str]]) -> str:
    lines = []
    for place, row in enumerate(rows):
        span = f' rowspan="{len(rows)}"' if len(rows) > 1 else ""
        first = f'<th scope="row"{span}>{escape(name)}</th>' if place == 0 else ""
        cells = "".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in row[1:])
        lines.append(f"<tr{' class=inner' if place < len(rows) - 1 else ''}>{first}{cells}</tr>")
    return "".join(lines)


def _kind(cell: str) -> str:
    return ' class="number"' if is_number(cell) else ""


def figure(svg: str, title: str, help: str, summary: str, tables: Sequence[Table], files: Mapping[str, str]) -> str:
    """A plot with its heading, how to read it, its numbers in words and in tables, and its files."""
    numbers = "".join(
        f"<p>{escape(one.caption)}</p>{table(one.head, one.rows, f'{title}: {one.caption}')}" for one in tables
    )
    return (
        f"<figure><figcaption><strong>{escape(title)}</strong><span>{escape(help)}</span></figcaption>{svg}"
        f"<details><summary>In words</summary><p>{escape(summary)}</p></details>"
        f"<details><summary>In numbers</summary>{numbers}</details>{links(files, title)}</figure>"
    )
