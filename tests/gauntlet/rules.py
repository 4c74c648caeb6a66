"""The page's table of request validation, typed a second time.

Everything else in this project reads messages from the contract's documents. The gauntlet's
server is an independent judge: what it copied from them it could not judge. So the texts below
were typed from the documentation page.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Broken:
    """One row of the table: a body that ``when`` is true of gets ``message``."""

    id: str
    message: str
    when: Callable[[dict[str, Any]], bool]
    status: int = 400


def given(body: dict[str, Any], name: str) -> Any:
    """Return a parameter of ``input``; null is as if it had been left out."""
    inputs = body.get("input")
    value = inputs.get(name) if isinstance(inputs, dict) else None
    return ABSENT if value is None else value


def _urls(body: dict[str, Any]) -> list[Any] | None:
    value = given(body, "image_urls")
    return value if isinstance(value, list) else None


def only(urls: Callable[[list[Any]], bool]) -> Callable[[dict[str, Any]], bool]:
    """Return a condition on `image_urls` that holds for arrays alone."""

    def condition(body: dict[str, Any]) -> bool:
        found = _urls(body)
        return found is not None and urls(found)

    return condition


def outside(name: str, *supported: str, fold: bool = False) -> Callable[[dict[str, Any]], bool]:
    """Return the condition that a parameter is there and none of the supported values."""

    def condition(body: dict[str, Any]) -> bool:
        value = given(body, name)
        if value is ABSENT:
            return False
        if not isinstance(value, str):
            return True
        return (value.lower() if fold else value) not in supported

    return condition


def _callback_url_missing(body: dict[str, Any]) -> bool:
    return body.get("request_type") == "callback" and not body.get("callback_url")


# What the page promises: the message of each row, and the bodies that get it.
_MESSAGES = {
    "input": "The required parameter {{input}} is missing.",
    "mode": "Invalid mode type. Supported: image-to-image",
    "missing": "The required parameter {{image_urls}} is missing.",
    "array": "The parameter {{image_urls}} must be Array type.",
    "length": "The parameter {{image_urls}} must contain exactly 1 image.",
    "element": "The parameter {{image_urls}} Array elements must be String type.",
    "empty": "The parameter {{image_urls}} cannot contain empty string.",
    "resolution": "The parameter {{resolution}} must be either '2k', '4k' or '8k'.",
    "format": "The parameter {{output_format}} must be either 'jpg', 'png' or 'webp'.",
}
_CONDITIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "input": lambda body: not isinstance(body.get("input"), dict),
    "mode": outside("mode", "image-to-image"),
    "missing": lambda body: given(body, "image_urls") is ABSENT,
    "array": lambda body: given(body, "image_urls") is not ABSENT and _urls(body) is None,
    "length": only(lambda urls: len(urls) != 1),
    "element": only(lambda urls: bool(urls) and not isinstance(urls[0], str)),
    "empty": only(lambda urls: bool(urls) and urls[0] == ""),
    "resolution": outside("resolution", "2k", "4k", "8k", fold=True),
    "format": outside("output_format", "jpg", "png", "webp", "jpeg"),
}
PAGE: tuple[Broken, ...] = tuple(
    Broken(name, words, _CONDITIONS[name]) for name, words in _MESSAGES.items()
)
# What is not documented, answered by this server in its own words.
UNSAID: tuple[Broken, ...] = (
    Broken(
        "request_type",
        "request_type is wrong",
        lambda body: body.get("request_type") not in (None, "async", "callback"),
    ),
    Broken("callback_url", "callback_url?", _callback_url_missing),
    Broken(
        "callback_url_type",
        "callback_url must be a text",
        lambda body: (
            body.get("request_type") == "callback" and not isinstance(body.get("callback_url"), str)
        ),
    ),
)


def first(rules: tuple[Broken, ...], body: dict[str, Any]) -> Broken | None:
    """Return the row that answers for this body."""
    return next((rule for rule in rules if rule.when(body)), None)
