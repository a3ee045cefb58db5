"""The engine's page shows what the engine does: its pictures hold data, and its captions are what they print."""

import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from assets.engine_pictures import PICTURES, draw
from assets.engine_pictures.field import SCHEDULE, rolled_path
from assets.engine_pictures.reflexflow import divided_by_the_sum
from assets.engine_pictures.targets import POINTS, final_spread
from core.config.paths import ASSETS_DIR, PROJECT_ROOT
from core.plots.figure import summary_of

PAGE = (PROJECT_ROOT / "docs" / "engine.md").read_text()


@pytest.fixture(scope="module")
def drawn():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {name: draw(name) for name in PICTURES}
    finally:
        torch.set_num_threads(threads)


def one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_data_in_every_panel(name, drawn):
    for axes in drawn[name].axes:
        paths = [artist.get_path() for artist in (*axes.lines, *axes.patches)]
        paths += [path for each in axes.collections for path in each.get_paths()]
        places = [each.get_offsets() for each in axes.collections]
        points = np.concatenate([*(path.vertices for path in paths), *places])
        assert len(np.unique(points, axis=0)) >= 8
        assert np.isfinite(points).all()


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_cut_off_and_panels_do_not_overlap(name, drawn):
    figure = drawn[name]
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))


@pytest.mark.parametrize("name", PICTURES)
def test_the_page_shows_the_picture_with_the_numbers_that_are_in_it(name, drawn):
    assert f"](../assets/pictures/engine-{name}.png)" in PAGE
    assert (ASSETS_DIR / "pictures" / f"engine-{name}.png").stat().st_size > 5_000
    assert f"*{summary_of(drawn[name])}*" in one_line(PAGE)


def test_the_page_shows_no_picture_that_nothing_draws():
    assert tuple(re.findall(r"engine-(\w+)\.png", PAGE)) == PICTURES


def test_files_that_the_page_names_exist():
    named = re.findall(r"`((?:core|tests|assets|docs)/[\w/]+\.(?:py|md))`", PAGE)
    assert len(named) > 10
    assert [path for path in named if not (PROJECT_ROOT / path).exists()] == []


def test_samples_without_rollout_have_the_spread_of_eulers_method():
    """In closed form: the factor of each step from sigma to the next one, with D = a x / (a² + s²)."""
    spread = 1.0
    for point in range(POINTS, 0, -1):
        s, lower = point / POINTS, (point - 1) / POINTS
        velocity = (s - (1 - s)) / ((1 - s) ** 2 + s**2)
        spread *= 1 - (s - lower) * velocity
    for rule in ("anchored", "posterior", "original"):
        assert final_spread(rule, 0) == pytest.approx(spread, abs=1e-6)


def test_only_the_posterior_target_keeps_the_spread_at_any_length():
    plain = final_spread("anchored", 0)
    assert final_spread("posterior", 3) == pytest.approx(plain, abs=1e-6)
    assert final_spread("posterior", 10) == pytest.approx(plain, abs=1e-6)
    assert final_spread("anchored", 10) < final_spread("anchored", 3) < 0.9 * plain
    assert final_spread("original", 3) < final_spread("anchored", 3)


def test_the_exact_model_starts_on_the_true_path_and_drifts_with_the_length():
    away = []
    for steps in (1, 5):
        path, result = rolled_path(steps)
        assert len(path) == steps + 1
        start = torch.tensor([path[0][0]])
        assert path[0][1] == pytest.approx(float(SCHEDULE.alpha(start) * 1.0 + SCHEDULE.sigma(start) * 0.2), abs=1e-6)
        away.append(float((result.rolled - result.noisy).abs()))
    assert 0 < away[0] < away[1]


def test_the_weights_that_are_compared_with_are_divided_by_each_items_own_sum():
    weights = divided_by_the_sum(torch.zeros(2, 1, 2), torch.tensor([[[1.0, 3.0]], [[5.0, 5.0]]]))
    torch.testing.assert_close(weights, torch.tensor([[[1.25, 1.75]], [[1.5, 1.5]]]))
