"""Everything that the client raises, and which error a response or a broken connection becomes.

An `OSError` is raised as it is when a local file cannot be read or written.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx

from apixo_schemas import contract

if TYPE_CHECKING:
    from apixo_client.models import Task


class ApixoError(Exception):
    """Base of all errors. An attribute that does not apply to an error is None.

    Attributes:
        message: What went wrong; exactly the service's message if it sent one.
        request: The request that failed.
        status: The HTTP status of the answer.
        code: The service's code: the envelope's `code`, or the task's `failCode`.
        task: The task that was submitted or waited for; it can be waited for again.
        retry_after: Seconds that the service asked to wait, from the header `Retry-After`.
    """

    def __init__(
        self,
        text: str,
        *,
        message: str | None = None,
        request: httpx.Request | None = None,
        status: int | None = None,
        code: int | str | None = None,
        task: Task | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(text)
        self.message = text if message is None else message
        self.request = request
        self.status = status
        self.code = code
        self.task = task
        self.retry_after = retry_after


class ConfigurationError(ApixoError):
    """The API key or the base URL is missing or unusable; the text says what to set."""


class ImageFileError(ApixoError):
    """A text is no URL, or a local file has none of the documented formats. Nothing was sent."""


class CallbackError(ApixoError):
    """The received body is no callback of this API."""


class TransportError(ApixoError):
    """No complete response arrived: refused, reset, timed out, cut off. See ``__cause__``."""


class UncertainSubmitError(TransportError):
    """A submit was sent, but no complete response arrived: the task may run and be charged.

    The client does not repeat it, because a second submit costs money. A submit that is answered by a
    `ServerError` or an `InvalidResponseError` is as uncertain, and is not repeated either.
    """


class DownloadError(TransportError):
    """A result did not arrive completely. No file was written; the download can be repeated."""


class ApiError(ApixoError):
    """The service answered with an error, as HTTP status or as `code` in the envelope."""


class BadRequestError(ApiError):
    """400: the request breaks a rule; `message` names it."""


class AuthenticationError(ApiError):
    """401: the API key is missing or invalid."""


class InsufficientBalanceError(ApiError):
    """402: the key's balance or quota does not suffice."""


class PermissionDeniedError(ApiError):
    """403: the key or its route cannot access the model."""


class NotFoundError(ApiError):
    """404: no such task, model, endpoint or result (results expire)."""


class MethodNotAllowedError(ApiError):
    """405: the endpoint exists, for another method."""


class PayloadTooLargeError(ApiError):
    """413: the request is too large, such as a big inlined image."""


class RateLimitedError(ApiError):
    """429: rate or concurrency limit reached; see `retry_after`."""


class ServerError(ApiError):
    """500 and every other 5xx: the service failed."""


class UpstreamError(ServerError):
    """502: the service behind the API failed."""


class UnavailableError(ServerError):
    """503: the service is temporarily unavailable."""


class UpstreamTimeoutError(ServerError):
    """504: the service behind the API did not answer in time."""


class InvalidResponseError(ApiError):
    """A 2xx response that is not as documented, such as one that is no JSON."""


class TaskFailed(ApixoError):
    """The task was accepted and then failed; `code` is its `failCode`."""


class ImageFormatIncorrectError(TaskFailed):
    """The input image's format was rejected."""


class SensitiveContentError(TaskFailed):
    """Input or result was rejected by safety checks."""


class TaskRateLimitedError(TaskFailed):
    """A rate limit behind the API was reached while the task ran; submit again later."""


class TaskTimeoutError(TaskFailed):
    """The task did not finish in the service's time."""


class UnknownFailureError(TaskFailed):
    """The service gave no reason for the failure, or a code that is not documented."""


class WaitTimeout(ApixoError):
    """The task still ran when the time to wait was over; pass `task` to `wait` to go on.

    If the last poll failed, its error is ``__cause__``.
    """


# By the ids of the contract's catalogue, which holds status, meaning and advice.
_API_ERRORS: Mapping[str, type[ApiError]] = {
    "invalid_json": BadRequestError,
    "unauthorized": AuthenticationError,
    "insufficient_balance": InsufficientBalanceError,
    "forbidden": PermissionDeniedError,
    "task_not_found": NotFoundError,
    "method_not_allowed": MethodNotAllowedError,
    "payload_too_large": PayloadTooLargeError,
    "rate_limited": RateLimitedError,
    "server_error": ServerError,
    "upstream_error": UpstreamError,
    "unavailable": UnavailableError,
    "upstream_timeout": UpstreamTimeoutError,
}

_TASK_FAILURES: Mapping[str, type[TaskFailed]] = {
    "ImageFormatIncorrect": ImageFormatIncorrectError,
    "SensitiveContent": SensitiveContentError,
    "RateLimited": TaskRateLimitedError,
    "Timeout": TaskTimeoutError,
    "Unknown error": UnknownFailureError,
    # Other models of the platform send these for the same refusal (platform fact P9).
    "SensitiveContentDetected": SensitiveContentError,
    "InputImageSensitiveContentDetected": SensitiveContentError,
    "ProhibitedContentDetected": SensitiveContentError,
    "NSFW": SensitiveContentError,
    "CONTENT_VIOLATION": SensitiveContentError,
}

# No connection was made, so the service cannot have read any of the request.
_UNCONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def api_error(
    response: httpx.Response,
    *,
    code: int | None = None,
    message: str = "",
    detail: str = "",
    retry_after: float | None = None,
    missing: str = "task_not_found",
) -> ApiError:
    """Return the error of a response: by its HTTP status, or by ``code`` if that is a success.

    ``code``, ``message`` and ``detail`` stand in the envelope; ``missing`` is the catalogue's id of
    what a 404 did not find.
    """
    status = response.status_code
    deciding = status if code is None or not response.is_success else code
    catalogue = contract().errors
    known = next((name for name in _API_ERRORS if catalogue[name].status == deciding), None)
    kind: type[ApiError] = ServerError if httpx.codes.is_server_error(deciding) else ApiError
    advice = ""
    if known is not None:
        kind = _API_ERRORS[known]
        entry = catalogue[missing if known == "task_not_found" else known]
        message = message or detail or entry.meaning
        advice = entry.advice
    elif response.is_redirect:
        # The key is for one host only, so redirects of API calls are not followed.
        message = f"Redirected to {response.headers.get('Location', '?')}"
        advice = "use the API's own address as the base URL"
    if not (httpx.codes.is_client_error(deciding) or httpx.codes.is_redirect(deciding)):
        advice = submit_advice(response.request) or advice
    message = message or detail or response.reason_phrase or "The service answered with an error"
    more = f" - {detail}" if detail and detail != message else ""
    return kind(
        f"{deciding}: {message}{more}" + (f" ({advice})" if advice else ""),
        message=message,
        request=response.request,
        status=status,
        code=status if code is None else code,
        retry_after=retry_after,
    )


def submit_advice(request: httpx.Request) -> str:
    """Return what to do after a failed request that may have been accepted; "" if it is no submit."""
    if request.method != "POST":
        return ""
    return (
        "The task may have been accepted and charged, so the submit was not repeated; "
        "compare the balance before you submit again."
    )


def task_failed(task: Task, request: httpx.Request) -> TaskFailed:
    """Return the error of a failed task."""
    code = task.fail_code or ""
    known = contract().failures.get(code)
    message = task.fail_message or (known.meaning if known else "no reason given")
    advice = f" ({known.advice})" if known else ""
    return _TASK_FAILURES.get(code, UnknownFailureError)(
        f"Task {task.id} failed: {code or 'no failCode'}: {message}{advice}",
        message=message,
        request=request,
        code=task.fail_code,
        task=task,
    )


def transport_error(error: httpx.RequestError, request: httpx.Request) -> TransportError:
    """Return the error of a request that got no complete response."""
    reason = str(error) or type(error).__name__
    words = f"No complete response from {request.url.host}: {reason}"
    if _is_refused_here(error, request):
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        words = (
            f"Nothing listens on {request.url.host} port {port} ({reason}). Start an emulator with "
            f"`apixo-emulator serve --port {port}`, or check the base URL (APIXO_BASE_URL)."
        )
    return TransportError(words, request=request)


def is_loopback(host: str) -> bool:
    """True if a host name or address, without brackets, is this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_refused_here(error: BaseException | None, request: httpx.Request) -> bool:
    if not isinstance(error, httpx.ConnectError) or not is_loopback(request.url.host):
        return False
    # A failed TLS handshake is a ConnectError too, but something listens.
    cause = error.__cause__
    return not isinstance(cause and cause.__cause__, ssl.SSLError)


def is_server_missing(error: ApixoError) -> bool:
    """True if nothing listens at an address of this machine; repeating a request cannot help."""
    return error.request is not None and _is_refused_here(error.__cause__, error.request)


def is_transient(error: ApixoError) -> bool:
    """True if a request that changes nothing may get a better response when it is repeated.

    This includes a 2xx response that is no envelope: gateways send one while a service restarts.
    """
    return isinstance(error, TransportError | RateLimitedError | ServerError | InvalidResponseError)


def is_surely_refused(error: ApixoError) -> bool:
    """True if a submit was certainly not accepted, so that repeating it cannot cost twice."""
    if isinstance(error, TransportError):
        return isinstance(error.__cause__, _UNCONNECTED)
    return isinstance(error, RateLimitedError)
