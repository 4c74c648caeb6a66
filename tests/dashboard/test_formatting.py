"""How times, sizes and bodies are written."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apixo_emulator.http.dashboard import formatting

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def text_of(markup: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", markup))


@settings(deadline=None)
@given(JSON, st.booleans())
def test_a_body_is_shown_with_every_character_that_it_has(value: object, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis
    written = json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
    shown = text_of(formatting.body(written))
    assert json.loads(shown) == json.loads(written)
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", written)


@settings(deadline=None)
@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    for shown in (formatting.body(text), formatting.body(json.dumps(text)), formatting.ticks(text)):
        assert "<" not in re.sub(r'</?(?:code|span)(?: class="[a-z -]+")?>', "", shown)


def test_json_stands_on_lines_of_its_own() -> None:
    shown = text_of(formatting.body('{"a":[1,{}],"b":[]}'))
    assert shown == '{\n  "a": [\n    1,\n    {}\n  ],\n  "b": []\n}'


def test_what_is_no_json_is_shown_as_it_is() -> None:
    assert formatting.body(b'{"code":200,"mess') == "{&#34;code&#34;:200,&#34;mess"
    assert formatting.body(b"\xff<") == "\ufffd&lt;"


@pytest.mark.parametrize(
    ("ms", "written"),
    [
        (0, "0 ms"),
        (850, "850 ms"),
        (1500, "1.5 s"),
        (41_000, "41 s"),
        (60_000, "1 min"),
        (123_000, "2 min 3 s"),
        (3_900_000, "1 h 5 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units_at_most(ms: int, written: str) -> None:
    assert formatting.span(ms) == written


def test_instants_are_in_utc() -> None:
    assert formatting.instant(1_767_965_610_929) == "2026-01-09 13:33:30.929"
    assert formatting.time_of_day(1_767_965_610_929) == "13:33:30.929"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://example.com/input.jpg", "example.com/input.jpg"),
        (
            "https://cdn.example.org/very/long/path/of/a/picture.jpg",
            "cdn.examp…of/a/picture.jpg",
        ),
        ("data:image/png;base64,AAAA", "data:image/png"),
        ("no url", "no url"),
    ],
)
def test_a_source_is_told_by_its_host_and_its_end(url: str, written: str) -> None:
    assert formatting.source(url) == written


@pytest.mark.parametrize(
    "sent", ["[" * 30_000 + "]" * 30_000, "[" + "1," * 300_000 + "1]", "x" * 9_000_000]
)
def test_what_is_shown_of_a_body_is_bounded(sent: str) -> None:
    shown = formatting.body(sent)
    assert len(shown) < 20_000
    assert shown.endswith(f"… {len(sent) - formatting.MOST_SHOWN} more")
    assert formatting.is_cut(sent)


def test_many_levels_are_shown_as_they_were_sent() -> None:
    sent = "[" * 400 + "]" * 400
    assert formatting.body(sent) == sent
