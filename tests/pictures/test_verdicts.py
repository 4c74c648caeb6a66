"""What the URL alone tells, and sizes: for any text and any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apixo_emulator.domain.pictures import (
    FetchMode,
    Verdict,
    decode_data_url,
    quick_verdict,
    sniff,
    target_size,
)
from apixo_schemas import contract

PNG_HEAD = "iVBORw0KGgoAAAANSUhEUgAA"


def verdict(url: str) -> Verdict | None:
    return quick_verdict(url, fetch=FetchMode.LOOPBACK, has_folder=False)


NO_URLS = [
    *(
        "",
        "input.jpg",
        "/input.jpg",
        "ftp://example.com/input.jpg",
        "file:///etc/passwd",
        "http://",
    ),
    *("https://exa mple.com/", "https://[::1/", "https://127.0.0.1\\@example.com/"),
    *("https://host:port/", "https://example.com:0/1.jpg", "https://example.com:99999/1.jpg"),
    *(" https://example.com/1.jpg", "https://example.com/1.jpg\n", "https://e.com\n.evil/"),
    "https://example.com/" + "x" * 8173,
]
NO_PICTURES = [
    *("data:", "data:,", "data:image/png;base64", "data:image/png;base64,", "data:text/html,<p>"),
    *("data:image/png;base64,!!!!", "data:image/png;base64,iVBOR=w0KGgo", "data:;base64,A"),
    *("data:;base64,é", "data:;base64,%FF%FF", "data:image/svg+xml,%3Csvg/%3E"),
    "data:image/gif;base64,R0lGODlhAQABAAAAACw=",
]
TO_BE_LOOKED_AT = [
    *("http://127.0.0.1/a.jpg", "http://127.8.9.1:8000/a.jpg", "http://localhost:3000/a.jpg"),
    *("https://files.localhost/a.jpg", "HTTP://LocalHost", "http://[::1]:3000/a.jpg"),
    f"DATA:image/png;Base64,{PNG_HEAD}",
    f"data:image/gif;base64,{PNG_HEAD}",
    f"data:;base64 ,{PNG_HEAD[:8]} \n{PNG_HEAD[8:]}",
    f"data:image/png;base64,{PNG_HEAD}AA==#fragment",
    "data:image/png,%89PNG%0D%0A%1A%0A%00",
    "data:image/jpeg;base64,/9j/4AAQSkZJRg",
    "data:image/jpeg;base64,%2F9j%2F4AAQSkZJRg",
    "data:image/webp;base64,UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==",
]
ELSEWHERE = [
    *("https://example.com/input.jpg", "https://user:password@example.com/input.jpg"),
    *("https://localhost.example.com/input.jpg", "https://192.168.0.1/input.jpg"),
    "https://example.com/no picture here",
]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        *((url, Verdict.NOT_A_URL) for url in NO_URLS),
        *((url, Verdict.REJECTED) for url in NO_PICTURES),
        *((url, None) for url in TO_BE_LOOKED_AT),
        *((url, Verdict.ABSENT) for url in ELSEWHERE),
    ],
)
def test_what_the_url_alone_tells(url: str, expected: Verdict | None) -> None:
    assert verdict(url) is expected
    if expected is Verdict.ABSENT:
        assert quick_verdict(url, fetch=FetchMode.PUBLIC, has_folder=False) is None
        assert quick_verdict(url, fetch=FetchMode.LOOPBACK, has_folder=True) is None


@given(
    st.sampled_from(
        ["data:", "data:;base64,", "data:,", "http://", "https://[", "http://127.0.0.1"]
    ),
    st.text(st.characters(), max_size=400),
)
def test_any_rest_of_a_url_has_a_verdict(start: str, rest: str) -> None:
    assert verdict(start + rest) in {None, *Verdict}


@given(st.binary())
def test_data_urls_give_back_their_content(content: bytes) -> None:
    from base64 import b64encode
    from urllib.parse import quote_from_bytes

    assert decode_data_url(f"data:;base64,{b64encode(content).decode()}") == content
    assert decode_data_url(f"data:,{quote_from_bytes(content)}") == content


def test_sniffed_types_are_the_contracts() -> None:
    heads = (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP")
    assert {sniff(head) for head in heads} == contract().source_media_types


sides = st.integers(1, 10**9)


@given(sides, sides, st.sampled_from(list(contract().long_edge_px.values())))
def test_target_has_the_long_edge_and_the_shape(width: int, height: int, edge: int) -> None:
    across, down = target_size(width, height, edge)
    assert max(across, down) == edge
    assert min(across, down) >= 1
    longer, shorter = max(width, height), min(width, height)
    assert abs(min(across, down) - edge * shorter / longer) <= 1
    assert target_size(height, width, edge) == (down, across)


def test_no_size_without_pixels() -> None:
    with pytest.raises(ValueError, match="at least 1 px, got 0"):
        target_size(0, 1, 2048)
