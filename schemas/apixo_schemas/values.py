"""Single values: waits and pictures, read alike everywhere, and the forms of errors and task ids."""

from __future__ import annotations

import math
import re
import string
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID


def http_date_s(text: str) -> float | None:
    """Return the Unix time, in seconds, of a date in a header; None if it is none.

    A date without a zone is GMT, as all dates of HTTP are (RFC 9110, 5.6.7).
    """
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # The parser of the standard library lets several errors through on odd dates.
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def retry_after_s(value: str, now: float) -> float | None:
    """Return the seconds, at least 0, that a ``Retry-After`` asks for; None if it is not understood.

    It is a number of seconds, or a date (RFC 9110, 10.2.3), which is compared with ``now`` (Unix
    time, seconds).
    """
    try:
        seconds = float(value)
    except ValueError:
        until = http_date_s(value)
        seconds = math.nan if until is None else until - now
    return max(0.0, seconds) if math.isfinite(seconds) else None


def picture_format(head: bytes) -> str | None:
    """Return ``jpg``, ``png`` or ``webp`` by the first 12 bytes of a picture; None if it is none."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


# What stands for the message in the form of an error's `data`.
_MESSAGE = "$message"
_ABSENT = "absent"
_ALPHABETS = {
    "hex": string.hexdigits[:16],
    "digits": string.digits,
    "alnum": string.ascii_lowercase + string.digits,
}
_PART = re.compile(r"\{(hex|digits|alnum):(\d+)\}")


def error_body(code: int, message: str, data_form: Any) -> dict[str, Any]:
    """Return the envelope of an error.

    Args:
        code: The envelope's code.
        message: Its message.
        data_form: The value of the assumption ``error.data``: None, ``absent`` or a JSON value in
            which the text ``$message`` stands for the message.
    """
    if data_form == _ABSENT:
        return {"code": code, "message": message}
    return {"code": code, "message": message, "data": _filled(data_form, message)}


def _filled(form: Any, message: str) -> Any:
    if isinstance(form, dict):
        return {key: _filled(part, message) for key, part in form.items()}
    if isinstance(form, list):
        return [_filled(part, message) for part in form]
    return message if form == _MESSAGE else form


def shaped_task_id(form: str, number: int) -> str:
    """Return the task id of a 128-bit number in a form of the assumption ``task_id.form``.

    The same number gives the same id; a form with room for fewer ids than numbers takes the
    number's lowest digits.

    Raises:
        ValueError: There is no such form.
    """
    if form == "uuid":
        return str(UUID(int=number))
    pattern = "{hex:32}" if form == "hex32" else form
    if not _PART.search(pattern):
        raise ValueError(
            f"expected hex32, uuid or a pattern such as task_{{digits:12}}, found {form!r}"
        )
    rest = number

    def digits(part: re.Match[str]) -> str:
        nonlocal rest
        alphabet = _ALPHABETS[part[1]]
        made = ""
        for _ in range(int(part[2])):
            rest, digit = divmod(rest, len(alphabet))
            made = alphabet[digit] + made
        return made

    return _PART.sub(digits, pattern)
