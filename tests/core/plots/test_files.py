"""Plots as files and as parts of a page, light and dark."""

import re
from itertools import combinations

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from core.plots import PLOTS
from core.plots.arms import KNOWN
from core.plots.figure import describe, new_axes, render_svg, save
from core.plots.palette import ARM_COLOURS, CSS_VARIABLES, DARK, DARK_PAPER, PAPER, SUBDUED
from tests.core.plots.made import series_of

SEEDED = tuple(f"{arm}-s{seed}" for seed in (1, 2) for arm in KNOWN)


def has_colour(picture: np.ndarray, colour: str) -> bool:
    return bool((np.abs(picture[..., :3] - to_rgb(colour)).max(axis=-1) < 0.01).any())


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_saved_in_both_formats_and_both_themes(name, dark, tmp_path):
    figure = PLOTS[name].draw(series_of(name, 2, ("rollout",)))
    picture = matplotlib.image.imread(save(figure, tmp_path / "plot.png", "A title", dark=dark))
    assert np.allclose(picture[0, 0, :3], to_rgb(DARK_PAPER if dark else PAPER), atol=0.003)
    text = save(figure, tmp_path / "plot.svg", "A title", dark=dark).read_text()
    assert "A title" in text
    own, other = (DARK[SUBDUED], SUBDUED) if dark else (SUBDUED, DARK[SUBDUED])
    assert own in text
    assert other not in text


def test_a_dark_file_has_the_dark_colours_of_lines_markers_text_and_bars(tmp_path):
    for name in ("chain_v", "frontier_seconds", "offsets"):
        figure = PLOTS[name].draw(series_of(name, 6, ("teacher-forced", "rollout")))
        text = save(figure, tmp_path / "plot.svg", "Title", dark=True).read_text()
        assert not [colour for colour in CSS_VARIABLES if colour in text], name
        assert DARK[ARM_COLOURS[0]] in text
        picture = matplotlib.image.imread(save(figure, tmp_path / "plot.png", dark=True))
        assert has_colour(picture, DARK[ARM_COLOURS[1]])
        assert not has_colour(picture, ARM_COLOURS[1])


def test_saving_leaves_the_figure_as_it_was(tmp_path):
    figure = PLOTS["differences"].draw(series_of("differences", 8))
    before = render_svg(figure, "x")
    for suffix in (".png", ".svg"):
        save(figure, tmp_path / f"plot{suffix}", "Title", dark=True)
    assert render_svg(figure, "x") == before


@pytest.mark.parametrize("name", PLOTS)
def test_svg_on_the_page_leaves_every_colour_to_the_theme(name):
    text = render_svg(PLOTS[name].draw(series_of(name, 50)), "title")
    bare = re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", text)
    assert not re.findall(r"#[0-9a-f]{6}\b", bare)
    assert "var(--plot-subdued" in text


@pytest.mark.parametrize("name", ["drift_heat", "drift_bands"])
def test_heat_maps_are_pictures_within_the_themed_svg(name):
    text = render_svg(PLOTS[name].draw(series_of(name, 5)), "title")
    assert text.count("data:image/png;base64") >= 2  # the panels and the scale


def test_plots_share_a_page_without_sharing_ids():
    names = ("loss", "drift_m1", "drift_lag")
    texts = [render_svg(PLOTS[name].draw(series_of(name, 50)), name) for name in names]
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in texts]
    assert all(ids)
    assert not any(one & other for one, other in combinations(ids, 2))
    for text, own in zip(texts, ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', text)) <= own


def test_names_from_people_are_escaped():
    figure, _ = new_axes("x", "y")
    text = render_svg(describe(figure, "<script>alert(1)</script>"), '"><img src=x>')
    assert "<script>" not in text
    assert "<img" not in text


@pytest.mark.parametrize("labels", [("rollout",), SEEDED])
@pytest.mark.parametrize("name", PLOTS)
def test_no_text_leaves_the_figure_or_lies_on_another(name, labels, monkeypatch):
    if PLOTS[name].records == "preview" and len(labels) > 1:
        pytest.skip("previews show one set of options")
    figure = PLOTS[name].draw(series_of(name, 5, labels))
    drawn, draw = [], Text.draw

    def note(text, renderer, *rest, **more):
        if text.get_text().strip() and text.get_visible():
            drawn.append((text.get_text(), text.get_window_extent(renderer)))
        return draw(text, renderer, *rest, **more)

    monkeypatch.setattr(Text, "draw", note)
    figure.draw_without_rendering()
    assert drawn
    frame = figure.bbox.padded(1)
    edges = [(text, box.get_points()) for text, box in drawn]
    assert not [text for text, ends in edges if (ends < frame.p0).any() or (ends > frame.p1).any()]
    boxes = [(text, box.padded(-1)) for text, box in drawn]
    assert not [(one[0], other[0]) for one, other in combinations(boxes, 2) if one[1].overlaps(other[1])]
