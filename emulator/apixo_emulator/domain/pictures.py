"""Source pictures: what the URL alone says about them; and the size of a result.

The API accepts any non-empty text as an image URL. A source that is not usable makes the task fail
later (assumptions ``image_url.not_a_url`` and ``image.too_large``). `quick_verdict` judges the URL at
submit; where that is not enough, the source is fetched in the background.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from apixo_emulator.domain.addresses import (
    ANYWHERE,
    AddressRefused,
    Target,
    UrlMalformed,
    is_loopback_name,
    parse_target,
)
from apixo_schemas import contract, picture_format


class Verdict(StrEnum):
    """What a source picture means for its task."""

    # It was found and is of a supported format.
    USABLE = "usable"
    # It is not in a supported format: the task fails with `ImageFormatIncorrect`.
    REJECTED = "rejected"
    # Assumptions say whether and how these fail: `failing_code`.
    NOT_A_URL = "not-a-url"
    TOO_LARGE = "too-large"
    DAMAGED = "damaged"
    # Its server responds with an error, hangs or breaks off.
    REFUSED = "refused"
    # It cannot be reached: the result is a placeholder, so that the emulator works offline.
    ABSENT = "absent"


_ASSUMED = {
    Verdict.NOT_A_URL: "image_url.not_a_url",
    Verdict.TOO_LARGE: "image.too_large",
    Verdict.DAMAGED: "image.damaged",
    Verdict.REFUSED: "image.refused",
}


def failing_code(verdict: Verdict | None) -> str | None:
    """Return the failure code of a task with such a source, None where it succeeds."""
    if verdict is Verdict.REJECTED:
        return "ImageFormatIncorrect"
    question = _ASSUMED.get(verdict) if verdict else None
    code: str | None = contract().assumed(question) if question else None
    return None if code == "placeholder" else code


class FetchMode(StrEnum):
    """Which hosts source pictures may be fetched from."""

    # Only this machine.
    LOOPBACK = "loopback"
    # Any host that is not link-local, a metadata service, multicast or the like.
    PUBLIC = "public"


class RefusedSource(StrEnum):
    """How a task ends whose source's server responds with an error, hangs or breaks off."""

    # As assumption ``image.refused`` says.
    ASSUMED = "assumed"
    # It fails with `ImageFormatIncorrect`.
    FAIL = "fail"
    # It succeeds with a placeholder.
    PLACEHOLDER = "placeholder"


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """What a task's result shows: a tier and a format of the contract, e.g. ``4k`` and ``jpg``.

    ``made_ms`` is when the task ended, in Unix ms; it dates the result.
    """

    task_id: str
    image_url: str
    resolution: str
    output_format: str
    made_ms: int = 0


# A URL with user and password is never called. They do not change which host it names.
_USER = re.compile(r"(?<=://)[^/?#]*@")
_BASE64_MARK = re.compile(r";[ ]*base64[ ]*\Z", re.IGNORECASE)
_WHITE_SPACE = re.compile(rb"[ \t\n\f\r]+")
_CUT_ESCAPE = re.compile(r"%[0-9A-Fa-f]?\Z")
_PREFIX_CHARS = 256  # of a data URL: enough for the magic bytes, with every one percent-encoded


def web_target(image_url: str) -> Target | None:
    """Return where an http(s) URL points; None where nothing can call it."""
    try:
        return parse_target(image_url, ANYWHERE)
    except UrlMalformed:
        return None
    except AddressRefused:  # it holds a user or password
        return web_target(_USER.sub("", image_url, count=1))


def is_data_url(image_url: str) -> bool:
    """True if a URL carries its content in itself."""
    return image_url[:5].lower() == "data:"


def quick_verdict(image_url: str, *, fetch: FetchMode, has_folder: bool) -> Verdict | None:
    """Return the verdict on a source by its URL alone; None if it has to be fetched first."""
    if is_data_url(image_url):
        try:
            head = decode_data_url(image_url, prefix_only=True)
        except ValueError:
            return Verdict.REJECTED
        return Verdict.REJECTED if sniff(head) is None else None
    target = web_target(image_url)
    if target is None:
        return Verdict.NOT_A_URL
    if has_folder or fetch is FetchMode.PUBLIC or is_loopback_name(target.host):
        return None
    return Verdict.ABSENT


def decode_data_url(image_url: str, *, prefix_only: bool = False) -> bytes:
    """Return the content of a ``data:`` URL, or only enough of it for `sniff`.

    As browsers do it (WHATWG): percent-encoding is undone first, white space inside base64 is
    skipped and its padding may be missing.

    Raises:
        ValueError: It is malformed.
    """
    head, comma, content = image_url.partition(",")
    if not comma or not is_data_url(head):
        raise ValueError("expected data:[<media type>][;base64],<content>")
    content = content.partition("#")[0]
    if prefix_only:
        content = _CUT_ESCAPE.sub("", content[:_PREFIX_CHARS])
    decoded = unquote_to_bytes(content)
    if not _BASE64_MARK.search(head):
        return decoded
    digits = _WHITE_SPACE.sub(b"", decoded).rstrip(b"=")
    if prefix_only:
        digits = digits[: len(digits) // 4 * 4]  # four digits carry three bytes
    return b64decode(digits + b"=" * (-len(digits) % 4), validate=True)


def sniff(head: bytes) -> str | None:
    """Return a source's media type by its first 12 bytes; None where the API does not take it."""
    name = picture_format(head)
    return None if name is None else contract().formats[name].media_type


def target_size(width: int, height: int, long_edge: int) -> tuple[int, int]:
    """Return the size in px that fits ``width`` x ``height`` to a long edge, at least 1 px each way.

    Raises:
        ValueError: A measure is less than 1.
    """
    if min(width, height, long_edge) < 1:
        raise ValueError(f"expected measures of at least 1 px, got {width}, {height}, {long_edge}")
    longer = max(width, height)
    # In whole numbers, so that halves round up for any size.
    across, down = ((2 * side * long_edge + longer) // (2 * longer) for side in (width, height))
    return max(1, across), max(1, down)
