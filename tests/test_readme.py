"""The README and the docs say what the code says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from core.config.table import markdown_table

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "assets").rglob("*.md")]
)
OPEN_PLACES = r"MODEL_FACTS|BENCH_MACHINE|RECIPE_FACTS|PARAMS_TE|<!-- (?:demo-results|bench) -->\n\n"


def test_readme_holds_the_generated_rollout_options():
    readme = (ROOT / "README.md").read_text()
    table = re.search(r"<!-- rollout-options -->\n(.*?)\n<!-- /rollout-options -->", readme, re.S)
    assert table is not None
    assert table[1].strip() == markdown_table("scheduled_sampling").strip()


def test_docs_hold_the_generated_table_of_all_options():
    assert markdown_table().strip() in (ROOT / "docs" / "options.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page: Path):
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_pages_have_no_open_places():
    assert [page.name for page in PAGES if re.search(OPEN_PLACES, page.read_text())] == []


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse(path.read_text())
    return frozenset(each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef))


def test_every_claim_of_the_readme_is_a_test_that_is_there():
    section = (ROOT / "README.md").read_text().split("## What you can rely on")[1].split("\n## ")[0]
    claims = re.findall(r"^- \*\*(.+?)\.\*\*", section, re.M)
    pages = (ROOT / "docs" / "reliability.md").read_text().split("\n## ")[1:]
    named = {page.splitlines()[0]: re.findall(r"`(tests/[\w/.]+\.py)::(\w+)`", page) for page in pages}
    assert len(claims) > 5
    assert [claim for claim in claims if not named.get(claim)] == []
    every = [(path, name) for found in named.values() for path, name in found]
    assert [f"{path}::{name}" for path, name in every if name not in names_in(ROOT / path)] == []
