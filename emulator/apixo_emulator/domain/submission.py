"""Parse a submit body: into a submission, or the first rule that it breaks.

The submit schema is the only source. A body that satisfies all rules at once is accepted. Only a
rejected body is checked against each rule in order, and the first broken rule gives the response
(page, Request validation; order: assumption ``order``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import orjson
from jsonschema_rs import validator_for

from apixo_emulator.domain.responses import refusal, rejection
from apixo_emulator.domain.wire import HttpResponse
from apixo_schemas import Rule, contract


@dataclass(frozen=True, slots=True)
class Submission:
    """An accepted body with its defaults filled in and its values normalised."""

    image_url: str
    resolution: str
    output_format: str
    request_type: str
    callback_url: str | None


class Refusal(NamedTuple):
    """An answer to a submit that does not depend on the store, and why it is given."""

    response: HttpResponse
    decision: str
    # The id of the contract's rule that the body breaks.
    rule: str | None = None


@cache
def _accepts() -> Callable[[Any], bool]:
    """Return the test of a body against all rules, which are the contract's or a profile's."""
    return validator_for({"allOf": [dict(rule.schema) for rule in contract().rules]}).is_valid


@cache
def _rules() -> list[tuple[Rule, Callable[[Any], bool]]]:
    return [(rule, validator_for(dict(rule.schema)).is_valid) for rule in contract().rules]


def read_submission(raw: bytes) -> Submission | Refusal:
    """Read a submit body. Bytes that are no JSON (RFC 8259, UTF-8) are refused, not guessed at."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Refusal(refusal("invalid_json"), "the body is not JSON")
    if _accepts()(body):
        return _normalise(body)
    rule = next(rule for rule, holds in _rules() if not holds(body))
    words = f"the body breaks a rule: {rule.condition}"
    return Refusal(rejection(rule.message), words, rule.id)


def _normalise(body: dict[str, Any]) -> Submission:
    """Fill in defaults, fold the resolution's case and the format's alias; null is as if omitted."""
    terms = contract()
    defaults = terms.defaults
    given = body["input"]
    output_format = _clean(given.get("output_format") or defaults["output_format"])
    request_type = _clean(body.get("request_type") or defaults["request_type"])
    if terms.assumed("output_format.case") == "insensitive":
        output_format = output_format.lower()
    # It has an effect in callback mode alone (Image Upscaler page, Parameters). With some profiles
    # it may be a value that is no text: then no callback is made.
    callback_url = body.get("callback_url")
    is_text = isinstance(callback_url, str)
    return Submission(
        image_url=_clean(given["image_urls"][0]),
        resolution=_clean(given.get("resolution") or defaults["resolution"]).lower(),
        output_format=terms.format_aliases.get(output_format, output_format),
        request_type=request_type,
        callback_url=callback_url if is_text and request_type == "callback" else None,
    )


def _clean(text: str) -> str:
    """Trim a value where that was observed: assumption ``values.whitespace``."""
    return text.strip() if contract().assumed("values.whitespace") == "trimmed" else text
