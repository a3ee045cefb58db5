"""The report's one page: verdict, pictures, scores, costs, plots, settings, and how it was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import __version__
from core.evaluation.verdict import Judgement
from core.plots.palette import CSS_VARIABLES, DARK
from core.report.facts import alarm_lines, difference_table, method_lines, portable
from core.report.judged import Judged
from core.report.manifest import viewer_html, viewer_script
from core.report.markup import bullets, escape, figure, links, paragraph, section, table
from core.report.plots import Drawn
from core.report.words import (
    NO_WEIGHTS,
    cost_table,
    question,
    ranking_table,
    score_table,
    unmeasured,
    verdict_lines,
)
from core.runs.experiment_folder import ArmRun
from core.runs.scores import SCORES

STYLE = Path(__file__).with_name("report.css")
POLICY = (
    "default-src 'none'; img-src 'self' file: data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
"""The page asks nobody for anything but its own pictures."""


@dataclass(frozen=True)
class Content:
    """What the page is made of.

    Attributes:
        title: The experiment's.
        arms: Its runs.
        judged: Their scores, and what may be concluded.
        votes: How blind votes fell, a sentence each.
        pictures: The viewer's table; its addresses are relative to the page.
        sheet: The sheet's file, and what it shows; None where there are no pictures.
        plots: Those that have something to show.
        data: Names of the files of numbers, in ``data/``.
    """

    title: str
    arms: Sequence[ArmRun]
    judged: Judged
    votes: Sequence[str]
    pictures: Mapping[str, Any]
    sheet: tuple[str, str] | None
    plots: Sequence[Drawn]
    data: Sequence[str]


def page(content: Content) -> str:
    """The whole HTML file."""
    title = f"{content.title}: {question(arm.arm for arm in content.arms)}"
    body = "".join(
        (
            f"<header><h1>{escape(title)}</h1>{paragraph(_extent(content.arms), 'soft')}</header>",
            _verdict(content.judged.judgement), _pictures(content), _scores(content), _costs(content),
            _plots(content.plots), _settings(content.arms), _notes(content), _method(content),
            f"<footer>Written by rollout-workbench {escape(__version__)}.</footer>",
        )
    )  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_plot_colours()}{STYLE.read_text(encoding='utf-8')}</style></head>"
        f"<body><main>{body}</main><script>{viewer_script()}</script></body></html>\n"
    )


def _plot_colours() -> str:
    names = "".join(f"--{name}: light-dark({light}, {DARK[light]});" for light, name in CSS_VARIABLES.items())
    return f":root {{ {names} }}\n"


def _extent(arms: Sequence[ArmRun]) -> str:
    labels = list(dict.fromkeys(arm.label for arm in arms))
    seeds = sorted({arm.seed for arm in arms if arm.seed is not None})
    count = len({arm.arm for arm in arms})
    text = f"{count} {'arm' if count == 1 else 'arms'}: {', '.join(labels)}."
    return f"{text} Training seeds: {', '.join(map(str, seeds))}." if seeds else text


def _verdict(judgement: Judgement) -> str:
    first, *rest = verdict_lines(judgement)
    words = paragraph(portable(first)) + bullets(map(portable, rest))
    return f'<section class="verdict" aria-label="Verdict">{words}</section>'


def _pictures(content: Content) -> str:
    parts = [viewer_html(content.pictures)]
    if content.sheet is not None:
        name, words = content.sheet
        picture = f'<img class="sheet" src="{escape(name)}" alt="{escape(words)}" loading="lazy">'
        parts.append(f"<details><summary>One sheet of pictures</summary>{paragraph(words, 'soft')}{picture}</details>")
    if content.votes:
        parts.append(f"<h3>Blind vote</h3>{bullets(content.votes)}")
    return section("Pictures", *parts)


def _scores(content: Content) -> str:
    head, rows = score_table(content.judged.runs, content.judged.judgement)
    missing = unmeasured(content.judged.runs)
    note = paragraph(f"Not measured in any run: {', '.join(missing)}.", "soft") if missing else ""
    files = links({name: f"data/{name}" for name in content.data}, "Numbers")
    order, places = ranking_table(content.judged.judgement)
    ranking = table(order, places, "Arms by the declared score") if places else ""
    return section(
        "Scores",
        ranking,
        table(head, rows, "Scores of each arm") if rows else "",
        note,
        paragraph(NO_WEIGHTS, "soft"),
        files,
    )


def _costs(content: Content) -> str:
    head, rows = cost_table(content.judged.runs)
    return section("Costs", table(head, rows, "Costs of each run"))


def _plots(plots: Sequence[Drawn]) -> str:
    shown = "".join(
        figure(
            drawn.svg, drawn.plot.title, drawn.plot.help, drawn.summary, drawn.tables,
            {what: f"plots/{name}" for what, name in drawn.files.items()},
        )
        for drawn in plots
    )  # fmt: skip
    return section("Plots", f'<div class="figures">{shown}</div>') if shown else ""


def _settings(arms: Sequence[ArmRun]) -> str:
    head, rows = difference_table(arms)
    if not rows:
        return section("Settings that differ", paragraph("None could be read, or there is one arm only."))
    return section("Settings that differ", table(head, rows, "Settings that differ; all others are the same"))


def _notes(content: Content) -> str:
    alarms, problems = alarm_lines(content.arms), [portable(text) for text in content.judged.judgement.problems]
    return section("Alarms", bullets(alarms) or paragraph("No drift alarm in any run.")) + section(
        "Problems", bullets(problems) or paragraph("Nothing was missing or unreadable.")
    )


def _method(content: Content) -> str:
    scores = [f"{score.label} ({score.unit}): {score.help}" for score in SCORES.values()]
    lines = bullets(method_lines(content.arms, content.judged.view))
    return section("How it was measured", lines, f"<h3>Scores</h3>{bullets(scores)}")
