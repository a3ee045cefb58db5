"""How the arms look."""

import re
from itertools import combinations

import numpy as np
import pytest

from core.config.paths import PROJECT_ROOT
from core.plots.arms import BASE_STYLE, KNOWN, arm_of, arm_styles, groups
from core.plots.palette import ARM_COLOURS, BASE, CSS_VARIABLES, DARK, DARK_PAPER, GRID
from core.runs.arms import KNOWN_ARMS

SIMULATED = {
    "as drawn": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Linear RGB as seen with a colour vision deficiency (Machado, Oliveira and Fernandes 2009, severity 1)."""


def linear(colour: str) -> np.ndarray:
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """WCAG 2, 1 to 21."""
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson 2020, times 100: about 2 can just be told apart."""
    cones = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]])
    lab = np.array([[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
    return 100 * lab @ np.cbrt(cones @ np.clip(rgb, 0, 1))


def as_drawn(dark: bool) -> list[str]:
    return [DARK[colour] if dark else colour for colour in ARM_COLOURS]


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_of_an_arm_can_be_read_on_its_background(dark):
    papers = (DARK_PAPER, "#1a2028") if dark else ("#ffffff", "#f7f8fa")
    for colour in (*as_drawn(dark), DARK[BASE] if dark else BASE):
        assert min(contrast(colour, paper) for paper in papers) >= 3, colour


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("sight", SIMULATED)
def test_people_with_a_colour_vision_deficiency_tell_the_known_arms_apart(sight, dark):
    seen = [oklab(np.array(SIMULATED[sight]) @ linear(colour)) for colour in as_drawn(dark)[: len(KNOWN)]]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 5


def test_every_known_arm_has_a_look_of_its_own():
    assert set(KNOWN_ARMS) <= set(KNOWN)
    styles = arm_styles(list(KNOWN)).values()
    for part in ("colour", "dash", "marker"):
        assert len({getattr(style, part) for style in styles}) == len(KNOWN), part
    assert BASE_STYLE.colour not in ARM_COLOURS


@pytest.mark.parametrize("arm", KNOWN)
def test_an_arm_looks_the_same_with_a_seed_a_title_or_other_arms_beside_it(arm):
    alone = arm_styles([arm])[arm]
    for label in (f"{arm}-s43", f"cats: {arm}", f"Cats: big ones: {arm}-s7"):
        assert arm_of(label) == arm
        assert arm_styles(["my run", label, "teacher-forced"])[label] == alone


def test_names_that_are_no_arms_take_looks_that_no_arm_of_the_plot_has():
    styles = arm_styles(["my run", "rollout", "mine-s2", "mine-s3", "teacher-forced"])
    assert styles["mine-s2"] == styles["mine-s3"]
    assert len({style.colour for style in styles.values()}) == 4


def test_more_names_than_looks_still_have_one_each():
    styles = arm_styles([f"run {place}" for place in range(30)])
    assert len(styles) == 30
    assert {style.colour for style in styles.values()} == set(ARM_COLOURS)


def test_seeds_of_an_arm_are_one_group_and_experiments_are_not():
    found = groups(["rollout-s1", "placebo-s1", "rollout-s2", "cats: rollout-s1", "dogs: rollout-s1"])
    assert [group.name for group in found] == ["rollout", "placebo", "cats: rollout", "dogs: rollout"]
    assert found[0].labels == ("rollout-s1", "rollout-s2")
    ours = [group.style for group in found if group.name != "placebo"]
    assert len({style.colour for style in ours}) == 1
    assert len({style.marker for style in ours}) == 3


def test_the_page_has_both_values_of_every_colour():
    style = (PROJECT_ROOT / "app" / "style.css").read_text()
    light, dark = style.split(".dark {")[0], style.split(".dark {")[1].split("}")[0]
    for colour, name in CSS_VARIABLES.items():
        assert re.search(rf"--{name}: (#\w+);", light)[1] == colour
        assert re.search(rf"--{name}: (#\w+);", dark)[1] == DARK[colour]


def test_every_colour_is_used_for_one_thing_only():
    assert len(set(CSS_VARIABLES.values())) == len(CSS_VARIABLES) == len(ARM_COLOURS) + 4
    assert not set(DARK.values()) & set(DARK) - {GRID}
