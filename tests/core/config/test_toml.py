import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config.toml import toml_document, toml_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
TABLES = st.dictionaries(NAMES, SCALARS | st.lists(TEXT, max_size=5), max_size=5)


@given(TABLES, st.dictionaries(NAMES, TABLES.filter(bool), max_size=3))
def test_what_is_written_is_read_back(head, tables):
    tables = {name: table for name, table in tables.items() if name not in head}
    assert tomllib.loads(toml_document(head, tables)) == {**head, **tables}


@given(SCALARS)
def test_types_are_kept(value):
    again = tomllib.loads(f"a = {toml_value(value)}")["a"]
    assert type(again) is type(value)


def test_tuples_are_written_as_lists():
    assert tomllib.loads(f"a = {toml_value(('x', 'y'))}") == {"a": ["x", "y"]}


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), {"a": 1}])
def test_what_our_toml_cannot_say_is_refused(value):
    with pytest.raises(TypeError, match="no way to write"):
        toml_value(value)
