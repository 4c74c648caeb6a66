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
    """Give a parameter of ``input``; null is as if it had been left out."""
    inputs = body.get("input")
    value = inputs.get(name) if isinstance(inputs, dict) else None
    return ABSENT if value is None else value


def _urls(body: dict[str, Any]) -> list[Any] | None:
    value = given(body, "image_urls")
    return value if isinstance(value, list) else None


def only(urls: Callable[[list[Any]], bool]) -> Callable[[dict[str, Any]], bool]:
    """Give a condition on `image_urls` that holds for arrays alone."""

    def condition(body: dict[str, Any]) -> bool:
        found = _urls(body)
        return found is not None and urls(found)

    return condition


def outside(name: str, *supported: str, fold: bool = False) -> Callable[[dict[str, Any]], bool]:
    """Give the condition that a parameter is there and none of the supported values."""

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


# What the page promises.
PAGE: tuple[Broken, ...] = (
    Broken(
        "input",
        "The required parameter {{input}} is missing.",
        lambda body: not isinstance(body.get("input"), dict),
    ),
    Broken(
        "mode",
        "Invalid mode type. Supported: image-to-image",
        outside("mode", "image-to-image"),
    ),
    Broken(
        "missing",
        "The required parameter {{image_urls}} is missing.",
        lambda body: given(body, "image_urls") is ABSENT,
    ),
    Broken(
        "array",
        "The parameter {{image_urls}} must be Array type.",
        lambda body: given(body, "image_urls") is not ABSENT and _urls(body) is None,
    ),
    Broken(
        "length",
        "The parameter {{image_urls}} must contain exactly 1 image.",
        only(lambda urls: len(urls) != 1),
    ),
    Broken(
        "element",
        "The parameter {{image_urls}} Array elements must be String type.",
        only(lambda urls: bool(urls) and not isinstance(urls[0], str)),
    ),
    Broken(
        "empty",
        "The parameter {{image_urls}} cannot contain empty string.",
        only(lambda urls: bool(urls) and urls[0] == ""),
    ),
    Broken(
        "resolution",
        "The parameter {{resolution}} must be either '2k', '4k' or '8k'.",
        outside("resolution", "2k", "4k", "8k", fold=True),
    ),
    Broken(
        "format",
        "The parameter {{output_format}} must be either 'jpg', 'png' or 'webp'.",
        outside("output_format", "jpg", "png", "webp", "jpeg"),
    ),
)
# What nobody says, answered by this server in its own words.
UNSAID: tuple[Broken, ...] = (
    Broken(
        "request_type",
        "request_type is wrong",
        lambda body: (
            body.get("request_type") not in {None, "async", "callback"}
            if isinstance(body.get("request_type"), str | None)
            else True
        ),
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
    """Give the row that answers for this body."""
    return next((rule for rule in rules if rule.when(body)), None)
