"""Writes the tables and sheets of docs/results.md from score files alone; its prose is left as it stands."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from assets.results.matrix import ARMS, ASKED_FOR, BASES, KEPT, REFERENCE, Cell, cells
from assets.results.work import Work
from core.config.paths import resolve_path
from core.config.presets import load_preset
from core.errors import RunError
from core.runs.files import write_whole
from core.samples.compare import Row, comparison_sheet

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
MISSING = "–"

Scores = Mapping[tuple[str, str, int], dict]
"""By base, arm and seed."""


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        head: its heading.
        form: how a value is printed.
        value: of a cell's scores and those of the teacher-forced arm of the same base and seed, which may be missing.
    """

    head: str
    form: str
    value: Callable[[dict, dict | None], float | None]


def _score(name: str) -> Callable[[dict, dict | None], float | None]:
    return lambda own, reference: own["scores"][name]


def _training(name: str) -> Callable[[dict, dict | None], float | None]:
    return lambda own, reference: own["training"][name]


def _v_difference(own: dict, reference: dict | None) -> float | None:
    return None if reference is None else own["scores"]["v"] - reference["scores"]["v"]


COLUMNS: tuple[Column, ...] = (
    Column("seconds", ".0f", _training("seconds")),
    Column("rollout forwards an item", ".2f", _training("rollout_forwards_per_item")),
    Column("V", "+.3f", _score("v")),
    Column("V difference", "+.3f", _v_difference),
    Column("G2", "+.4f", _score("g2")),
    Column("high-band energy", ".3f", _score("high")),
    Column("nn", ".3f", _score("nn")),
    Column("diversity", ".3f", _score("diversity")),
    Column("border error", ".4f", _score("border")),
)


def read_scores(work: Work, wanted: Iterable[Cell]) -> Scores:
    """Of every cell that has them."""
    found = {(cell.base, cell.arm.name, cell.seed): work.score(cell) for cell in wanted}
    return {key: score for key, score in found.items() if score is not None}


def table(scores: Scores, base: str, seeds: Sequence[int]) -> str:
    """A base's table in Markdown: a row an arm, values seed by seed, a dash for what is missing."""
    lines = ["| arm | " + " | ".join(column.head for column in COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for arm in ARMS:
        if base in arm.bases:
            cells_of_row = (_entry(scores, base, arm.name, seeds, column) for column in COLUMNS)
            lines.append(f"| {arm.label} | " + " | ".join(cells_of_row) + " |")
    return "\n".join(lines)


def _entry(scores: Scores, base: str, arm: str, seeds: Sequence[int], column: Column) -> str:
    texts = []
    for seed in seeds:
        own, reference = scores.get((base, arm, seed)), scores.get((base, REFERENCE, seed))
        value = None if own is None else column.value(own, reference)
        texts.append(MISSING if value is None else format(value, column.form).replace("-", "−"))
    return " / ".join(texts)


def what_was_run(scores: Scores, seeds: Sequence[int]) -> str:
    """How many cells are there, with what they were made and on what: as the score files say."""
    total = len(list(cells(seeds)))
    listed = ",".join(str(seed) for seed in seeds)
    if not scores:
        return f"0 of {total} cells measured."
    steps, threads, cores, packages = (
        _listed(values)
        for values in (
            (str(score["steps"]) for score in scores.values()),
            (str(score["machine"]["threads"]) for score in scores.values()),
            (f"{score['machine']['cores']} CPU cores ({score['machine']['processor']})" for score in scores.values()),
            (", ".join(f"{name} {text}" for name, text in score["machine"]["versions"].items())
             for score in scores.values()),
        )
    )  # fmt: skip
    samples, pairs = (_listed(str(score["scores"][name]) for score in scores.values()) for name in ("samples", "pairs"))
    return (
        f"`python -m assets.results --steps {steps} --seeds {listed} --threads {threads}`: {len(scores)} of {total} "
        f"cells measured, {steps} optimizer steps each; {samples} samples and {pairs} pairs a cell. "
        f"On {cores}; {packages}.\n\nValues are those of seed {' / '.join(str(seed) for seed in seeds)}; "
        f"{MISSING} is not measured."
    )


def _listed(texts: Iterable[str]) -> str:
    """The distinct ones, joined; a mixture shows."""
    return "; ".join(dict.fromkeys(texts))


def generated(scores: Scores, seeds: Sequence[int], pictures: Path) -> str:
    """What stands between the markers. A sheet is shown where there is one."""
    parts = [what_was_run(scores, seeds)]
    for base, preset in BASES.items():
        parts += [f"### `{base}` (preset `{preset}`)", table(scores, base, seeds)]
        sheet = pictures / f"results-{base}.png"
        if sheet.is_file():
            alt = f"First samples of seed {seeds[0]} of every arm on {base}"
            parts.append(f"![{alt}](../assets/pictures/{sheet.name})")
    return "\n\n".join(parts)


def render(work: Work, seeds: Sequence[int], root: Path) -> None:
    """Writes the sheets below ``root``/assets/pictures and the tables into ``root``/docs/results.md.

    Raises:
        RunError: the page has no place for the tables.
    """
    page, pictures = root / "docs" / "results.md", root / "assets" / "pictures"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise RunError(f"{page} must hold {BEGIN} and {END} once each; put them where the tables belong")
    scores = read_scores(work, cells(seeds))
    for base in BASES:
        if any(key[0] == base and key[2] == seeds[0] for key in scores):
            sheet(work, base, seeds[0]).save(pictures / f"results-{base}.png", optimize=True)
    block = f"{BEGIN}\n\n{generated(scores, seeds, pictures)}\n\n{END}"
    write_whole(page, re.sub(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.S))


def sheet(work: Work, base: str, seed: int) -> Image.Image:
    """The subject's pictures and the first samples of every arm; the place of what is missing stays empty."""
    data = load_preset(BASES[base]).config.data
    subject = sorted(resolve_path(data.instance_data_dir).glob("*.png"))[:KEPT]
    columns = [f"{data.instance_prompt}, no guidance"] * KEPT + [f"{colour} background" for colour in ASKED_FOR]
    rows = [Row("the subject's\npictures", _padded(subject, len(columns)))]
    names = [*(f"instance-{index}" for index in range(KEPT)), *ASKED_FOR]
    for arm in ARMS:
        if base in arm.bases:
            folder = work.pictures(Cell(base, arm, seed))
            paths = [folder / f"{name}.png" for name in names]
            rows.append(Row(arm.label.replace(", ", ",\n"), [path if path.is_file() else None for path in paths]))
    return comparison_sheet(rows, columns, tile=80)


def _padded(paths: Sequence[Path], length: int) -> list[Path | None]:
    return [*paths, *[None] * length][:length]
