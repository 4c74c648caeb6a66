"""Values for one parameter: supported ones, and every sort of value that is not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from hypothesis import strategies as st

from apixo_contract._oracle import supported

# Integers that every JSON reader keeps as they are.
_SAFE = 2**53 - 1
_DEEP = 40
_LONG = 2000
# Letters and digits with look-alikes: Kelvin sign, dotless and dotted i, Cyrillic, full width,
# Arabic digits.
_LOOKALIKES = {
    "k": "\u212a\u043a\uff4b",
    "i": "\u0131\u0130\u0456",
    "e": "\u0435\uff45",
    "a": "\u0430\uff41",
    "p": "\u0440\uff50",
    "j": "\u0458\uff4a",
    "g": "\u0261\uff47",
    "w": "\u051d\uff57",
    "2": "\u0662\uff12",
    "4": "\u0664\uff14",
    "8": "\u0668\uff18",
    "-": "\u2010\u2212\u2013",
}
# What other models and services take for the same parameter.
_NEIGHBOURS = {
    "mode": (
        *("text-to-image", "image-to-video", "image_to_image", "img2img", "upscale"),
        *("image to image", "text-to-video", "video-to-video", "image-to-image-pro", "auto"),
    ),
    "resolution": (
        *("1k", "16k", "3k", "5k", "6k", "12k", "1080p", "720p", "2160p", "4096", "2x", "4x"),
        *("hd", "uhd", "original", "auto", "4096x4096", "k4", "04k", "4.0k"),
    ),
    "output_format": (
        *("gif", "tiff", "bmp", "avif", "heic", "svg", "jxl", "jp2", "pdf", "tif", "ico"),
        *("jpe", "jfif", "image/jpeg", "image/png", ".jpg", "original", "auto", "mp4", "raw"),
    ),
}


def lookalikes(value: str) -> Iterator[str]:
    """Give texts that look like a value, one character changed."""
    for place, letter in enumerate(value):
        for other in _LOOKALIKES.get(letter, ""):
            yield value[:place] + other + value[place + 1 :]


def misspellings(value: str) -> Iterator[str]:
    """Give texts that a careless comparison takes for a value."""
    yield from lookalikes(value)
    yield from (value + value, value[:-1], value[1:], value + "x", "x" + value)
    yield from (f"{value},{value}", f"'{value}'", f"{value}.", f"{value}\u0301", value * _LONG)


def _nested(value: Any, depth: int) -> Any:
    for level in range(depth):
        value = [value] if level % 2 else {"value": value}
    return value


def other_types(value: Any) -> list[Any]:
    """Give what holds a value without being a text: numbers, arrays, objects, nested deeply."""
    return [0, 4, -1, 1.5, True, False, [], [value], {}, {"value": value}, _nested(value, _DEEP)]


@cache
def texts() -> st.SearchStrategy[str]:
    """Texts in any script; no control characters, which servers may refuse as such."""
    return st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=24)


@cache
def numbers() -> st.SearchStrategy[int | float]:
    """Numbers that every JSON reader takes."""
    return st.integers(-_SAFE, _SAFE) | st.floats(-1e9, 1e9, allow_nan=False)


@cache
def anything() -> st.SearchStrategy[Any]:
    """JSON values of any type but null."""
    leaves = st.booleans() | numbers() | texts()
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(texts().filter(bool), inner, max_size=3)
        ),
        max_leaves=6,
    )


@cache
def classic_values(field: str) -> list[Any]:
    """Give the values that an unsupported one of a parameter is first tried with, simplest first."""
    known = supported(field)
    wrong = ["other", "", 4, [known[0]], True, {"value": known[0]}, *_NEIGHBOURS.get(field, ())]
    spelt = [text for value in known for text in misspellings(value)]
    return wrong + spelt + other_types(known[0])


def unsupported(field: str) -> st.SearchStrategy[Any]:
    """Values that a parameter with a list of supported ones does not take."""
    return st.sampled_from(classic_values(field)) | anything()
