"""Forms that a profile may give to what a server makes up: task ids, the bodies of errors."""

from __future__ import annotations

import re
import string
from typing import Any
from uuid import UUID

# What stands for the message in the form of an error's `data`.
MESSAGE = "$message"
ABSENT = "absent"
_ALPHABETS = {
    "hex": string.hexdigits[:16],
    "digits": string.digits,
    "alnum": string.ascii_lowercase + string.digits,
}
_NAMED = {"hex32": "{hex:32}"}
_PART = re.compile(r"\{(hex|digits|alnum):(\d+)\}")


def error_body(code: int, message: str, data_form: Any) -> dict[str, Any]:
    """Give the envelope of an error.

    Args:
        code: The envelope's code.
        message: Its message.
        data_form: The value of the assumption ``error.data``: None, ``absent`` or a JSON value in
            which the text ``$message`` stands for the message.
    """
    if data_form == ABSENT:
        return {"code": code, "message": message}
    return {"code": code, "message": message, "data": _filled(data_form, message)}


def _filled(form: Any, message: str) -> Any:
    if isinstance(form, dict):
        return {key: _filled(part, message) for key, part in form.items()}
    if isinstance(form, list):
        return [_filled(part, message) for part in form]
    return message if form == MESSAGE else form


def shaped_task_id(form: str, number: int) -> str:
    """Give the task id of a 128-bit number in a form of the assumption ``task_id.form``.

    The same number gives the same id; a form with room for fewer ids than numbers takes the
    number's lowest digits.

    Raises:
        ValueError: There is no such form.
    """
    if form == "uuid":
        return str(UUID(int=number))
    pattern = _NAMED.get(form, form)
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


def status_and_code(value: Any) -> tuple[int, int]:
    """Give HTTP status and envelope code of the assumption ``validation.status``."""
    if isinstance(value, dict):
        return value["status"], value["code"]
    return value, value
