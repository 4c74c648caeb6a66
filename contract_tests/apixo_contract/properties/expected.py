"""What is expected of the client, independent of its code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apixo_client import (
    ApiError,
    AuthenticationError,
    BadRequestError,
    ImageFormatIncorrectError,
    InsufficientBalanceError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RetryPolicy,
    SensitiveContentError,
    ServerError,
    Task,
    TaskFailed,
    TaskRateLimitedError,
    TaskTimeoutError,
    UnavailableError,
    UnknownFailureError,
    UpstreamError,
    UpstreamTimeoutError,
)
from apixo_contract.oracle import broken_rules
from apixo_contract.properties.service import Call
from apixo_schemas import MICROS_PER_USD, contract

PRICE = Decimal(contract().price_micros) / MICROS_PER_USD

_ERRORS: Mapping[int, type[ApiError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    429: RateLimitedError,
    500: ServerError,
    502: UpstreamError,
    503: UnavailableError,
    504: UpstreamTimeoutError,
}
FAIL_CODES: Mapping[str, type[TaskFailed]] = {
    "ImageFormatIncorrect": ImageFormatIncorrectError,
    "SensitiveContent": SensitiveContentError,
    "RateLimited": TaskRateLimitedError,
    "Timeout": TaskTimeoutError,
    "Unknown error": UnknownFailureError,
    # Of other models of the platform (platform fact P9).
    "SensitiveContentDetected": SensitiveContentError,
    "InputImageSensitiveContentDetected": SensitiveContentError,
    "ProhibitedContentDetected": SensitiveContentError,
    "NSFW": SensitiveContentError,
    "CONTENT_VIOLATION": SensitiveContentError,
}
ONCE = RetryPolicy(attempts=1)
FIELDS = ("failCode", "failMsg", "createTime", "completeTime", "costTime")


def body(image_url: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of a submit with these arguments; what is omitted has the page's default."""
    given = {name: value for name, value in arguments.items() if value is not None}
    delivery: dict[str, Any] = {"request_type": "async"}
    if "callback_url" in given:
        delivery = {"request_type": "callback", "callback_url": given["callback_url"]}
    parameters = {
        "mode": "image-to-image",
        "image_urls": [image_url],
        "resolution": given.get("resolution", "4k"),
        "output_format": given.get("output_format", "jpg"),
    }
    return {**delivery, "input": parameters}


def is_valid(submit: Any) -> bool:
    """True if the schema accepts the body of a submit."""
    return not broken_rules(submit)


def assert_raised(call: Call, error: BaseException | None) -> None:
    """Check that an error is the exception of its response's status, with exactly its message."""
    assert isinstance(error, ApiError), f"an ApiError was expected, found {error!r}"
    assert call.status is not None
    # The HTTP status of an error decides over `code`.
    told = call.status if call.status >= 400 else call.envelope.get("code")
    status: int = call.status if told is None else told
    expected = _ERRORS.get(status, ServerError if status >= 500 else ApiError)
    assert type(error) is expected, f"{expected.__name__} was expected, found {error!r}"
    assert error.status == call.status, f"status {call.status} was expected, found {error.status}"
    message = call.envelope.get("message") or error.message
    assert error.message == message, f"{message!r} was expected, found {error.message!r}"


def assert_view(task: Task, data: Any) -> None:
    """Check that a task equals the ``data`` of its response, field by field."""
    fields = data if isinstance(data, dict) else {}
    found = (
        *(task.fail_code, task.fail_message),
        *(task.create_time, task.complete_time, task.cost_time),
    )
    expected = tuple(
        fields.get(name)
        if isinstance(fields.get(name), kind) and not isinstance(fields.get(name), bool)
        else None
        for name, kind in zip(FIELDS, (str, str, int, int, int), strict=True)
    )
    state = fields.get("state")
    urls = json.loads(fields["resultJson"])["resultUrls"] if state == "success" else []
    for what, seen, wanted in (
        *zip(FIELDS, found, expected, strict=True),
        ("state", task.state, state if isinstance(state, str) else ""),
        ("is_final", task.is_final, state in ("success", "failed")),
        ("result_urls", list(task.result_urls), urls),
    ):
        assert seen == wanted, f"{what}: {wanted!r} was expected, found {seen!r}"


def failure(fail_code: str | None) -> type[TaskFailed]:
    """Return the exception of a fail code."""
    return FAIL_CODES.get(fail_code or "", UnknownFailureError)
