"""The lines of a document's values."""

import json
import tomllib
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.scenarios.positions import Lines, json_lines, toml_lines
from scenarios.documents import Place, places, value_at
from scenarios.writing import as_json, as_toml

NAMES = st.text("ab-_ .#[]='é\"\\", min_size=1, max_size=5)
SHAPES = st.recursive(
    st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)


def numbered(shape: Any, numbers: Any) -> Any:
    """The shape with a number of its own in each place for a value."""
    match shape:
        case list():
            return [numbered(one, numbers) for one in shape]
        case dict():
            return {name: numbered(one, numbers) for name, one in shape.items()}
        case _:
            return next(numbers)


@pytest.mark.parametrize(
    ("write", "parse", "lines"),
    [(as_json, json.loads, json_lines), (as_toml, tomllib.loads, toml_lines)],
    ids=["JSON", "TOML"],
)
@given(shape=st.dictionaries(NAMES, SHAPES, max_size=4), data=st.data())
def test_every_value_is_found_on_its_line(
    write: Callable[[Any, Any], str],
    parse: Callable[[str], Any],
    lines: Callable[[str], Lines],
    shape: dict[str, Any],
    data: st.DataObject,
) -> None:
    document = numbered(shape, count(100_001))
    text = write(document, data.draw)
    assert parse(text) == document
    found = lines(text)
    assert set(found.by_path) == set(places(document))
    assert found.repeated == ()
    rows = text.split("\n")
    for place in places(document):
        value = value_at(document, place)
        if isinstance(value, int):
            assert str(value) in rows[found.of(place) - 1]


def test_a_value_that_is_not_there_is_looked_for_around_it() -> None:
    text = '[[rule]]\n\n[[rule]]\nmatch = { key = "a" }\n[rule.plan]\n'
    lines = toml_lines(text)
    places: dict[Place, int] = {
        ("rule", 1, "match", "call"): 4,
        ("rule", 1, "plan", "http"): 5,
        ("rule", 0, "plan"): 1,
        ("rule", 7): 1,
        (): 1,
    }
    assert {place: lines.of(place) for place in places} == places


def test_a_key_that_stands_twice_counts_where_it_stands_last() -> None:
    lines = json_lines('{"a": {"b": 1,\n"b": 2},\n"a": [\n3]}')
    assert lines.repeated == (("a", "b"), ("a",))
    assert (lines.of(("a",)), lines.of(("a", 0))) == (3, 4)
