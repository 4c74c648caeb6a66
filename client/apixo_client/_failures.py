"""Which exception an error answer, a failed task or a broken connection becomes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import httpx

from apixo_client import _errors as errors
from apixo_client._contract import terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from apixo_client._models import Task

# By the catalogue's ids; status, meaning and advice stand in the contract.
API_ERRORS: Mapping[str, type[errors.ApiError]] = {
    "invalid_json": errors.BadRequestError,
    "unauthorized": errors.AuthenticationError,
    "insufficient_balance": errors.InsufficientBalanceError,
    "forbidden": errors.PermissionDeniedError,
    "task_not_found": errors.NotFoundError,
    "method_not_allowed": errors.MethodNotAllowedError,
    "payload_too_large": errors.PayloadTooLargeError,
    "rate_limited": errors.RateLimitedError,
    "server_error": errors.ServerError,
    "upstream_error": errors.UpstreamError,
    "unavailable": errors.UnavailableError,
    "upstream_timeout": errors.UpstreamTimeoutError,
}

TASK_FAILURES: Mapping[str, type[errors.TaskFailed]] = {
    "ImageFormatIncorrect": errors.ImageFormatIncorrectError,
    "SensitiveContent": errors.SensitiveContentError,
    "RateLimited": errors.TaskRateLimitedError,
    "Timeout": errors.TaskTimeoutError,
    "Unknown error": errors.UnknownFailureError,
    # Other models of the platform send these for the same refusal (platform fact P9).
    "SensitiveContentDetected": errors.SensitiveContentError,
    "InputImageSensitiveContentDetected": errors.SensitiveContentError,
    "ProhibitedContentDetected": errors.SensitiveContentError,
    "NSFW": errors.SensitiveContentError,
    "CONTENT_VIOLATION": errors.SensitiveContentError,
}

# Neither was ever going to leave this machine, so that repeating them is pointless.
_UNSENDABLE = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)
# No connection was made, so the service cannot have read a word of the request.
_UNCONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@cache
def _ids_by_status() -> dict[int, str]:
    return {terms().errors[name].status: name for name in API_ERRORS}


def error_type(status: int) -> type[errors.ApiError]:
    """Give the exception of a status or code; an undocumented 5xx is a `ServerError`."""
    name = _ids_by_status().get(status)
    if name is not None:
        return API_ERRORS[name]
    return errors.ServerError if httpx.codes.is_server_error(status) else errors.ApiError


def api_error(
    response: httpx.Response,
    *,
    code: int | None = None,
    message: str = "",
    retry_after: float | None = None,
    missing: str = "task_not_found",
) -> errors.ApiError:
    """Give the error of an answer: by its HTTP status, or by ``code`` where that tells of none.

    ``missing`` is the catalogue's id of what a 404 did not find.
    """
    status = response.status_code
    deciding = status if code is None or not response.is_success else code
    known = _ids_by_status().get(deciding)
    advice = ""
    if known is not None:
        entry = terms().errors[missing if known == "task_not_found" else known]
        message = message or entry.meaning
        advice = f" ({entry.advice})"
    elif response.is_redirect:
        # The key is for one host only, so redirects of API calls are not followed.
        message = f"Redirected to {response.headers.get('Location', '?')}"
        advice = " (use the API's own address as the base URL)"
    message = message or response.reason_phrase or "The service answered with an error"
    return error_type(deciding)(
        f"{deciding}: {message}{advice}",
        message=message,
        request=response.request,
        status=status,
        code=status if code is None else code,
        retry_after=retry_after,
    )


def task_failed(task: Task, request: httpx.Request) -> errors.TaskFailed:
    """Give the error of a failed task."""
    code = task.fail_code or ""
    known = terms().failures.get(code)
    kind = TASK_FAILURES.get(code, errors.UnknownFailureError)
    message = task.fail_message or (known.meaning if known else "no reason given")
    advice = f" ({known.advice})" if known else ""
    return kind(
        f"Task {task.id} failed: {code or 'no failCode'}: {message}{advice}",
        message=message,
        request=request,
        code=task.fail_code,
        task=task,
    )


def transport_error(
    error: httpx.RequestError,
    request: httpx.Request,
    kind: type[errors.TransportError] = errors.TransportError,
) -> errors.TransportError:
    """Give the error of a request that got no whole answer."""
    reason = str(error) or type(error).__name__
    return kind(f"No answer from {request.url.host}: {reason}", request=request)


def is_transient(error: errors.ApixoError) -> bool:
    """Whether a question, which changes nothing, may get a better answer if it is asked again.

    A 2xx that is no envelope counts: gateways answer so while what is behind them restarts.
    """
    if isinstance(error, errors.TransportError):
        return not isinstance(error.__cause__, _UNSENDABLE)
    return isinstance(
        error, errors.RateLimitedError | errors.ServerError | errors.InvalidResponseError
    )


def is_surely_refused(error: errors.ApixoError) -> bool:
    """Whether a submit was certainly not accepted and may be sent again without paying twice."""
    if isinstance(error, errors.TransportError):
        return isinstance(error.__cause__, _UNCONNECTED)
    return isinstance(error, errors.RateLimitedError)
