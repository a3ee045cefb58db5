"""One sheet of labelled pictures: arms by rows, prompts and seeds by columns. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from core.data.pictures import read_picture

GAP, LABEL_SIZE = 4, 15
INK, PAPER = "#1a1a1a", "white"


@dataclass(frozen=True)
class Row:
    """Pictures that belong together, with their label; None leaves a place empty."""

    label: str
    pictures: Sequence[Path | None]


def comparison_sheet(rows: Sequence[Row], columns: Sequence[str], tile: int = 128) -> Image.Image:
    """Draws the rows under each other, each picture scaled to ``tile`` pixels without smoothing.

    Args:
        rows: all of the same length.
        columns: a label for each column; an equal label as the one before spans both.
        tile: side of a picture on the sheet, in pixels.

    Raises:
        ValueError: a row's length differs from the number of columns.
        DataError: a picture cannot be read.
    """
    if any(len(row.pictures) != len(columns) for row in rows):
        raise ValueError(f"every row must have {len(columns)} pictures, got {[len(row.pictures) for row in rows]}")
    font = ImageFont.load_default(LABEL_SIZE)
    margin = GAP + max(int(font.getlength(line)) for row in rows for line in row.label.split("\n")) + 2 * GAP
    spans = _spans(columns)
    heads = {start: _wrapped(columns[start], font, (end - start) * (tile + GAP) - GAP) for start, end in spans}
    head = max(len(lines) for lines in heads.values()) * (LABEL_SIZE + GAP) + GAP
    sheet = Image.new("RGB", (margin + len(columns) * (tile + GAP), head + len(rows) * (tile + GAP)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for start, lines in heads.items():
        draw.multiline_text((margin + start * (tile + GAP), GAP), "\n".join(lines), INK, font, spacing=GAP)
    for index, row in enumerate(rows):
        top = head + index * (tile + GAP)
        draw.multiline_text((GAP, top + tile // 2), row.label, INK, font, anchor="lm", spacing=GAP)
        for column, path in enumerate(row.pictures):
            if path is not None:
                sheet.paste(_tile(path, tile), (margin + column * (tile + GAP), top))
    return sheet


def _tile(path: Path, tile: int) -> Image.Image:
    picture = read_picture(path)
    how = Image.Resampling.LANCZOS if max(picture.size) > tile else Image.Resampling.NEAREST
    return picture.resize((tile, tile), how)


def _spans(columns: Sequence[str]) -> list[tuple[int, int]]:
    """Runs of equal labels as (first, one past the last)."""
    starts = [index for index, label in enumerate(columns) if index == 0 or label != columns[index - 1]]
    return list(zip(starts, [*starts[1:], len(columns)], strict=True))


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]
