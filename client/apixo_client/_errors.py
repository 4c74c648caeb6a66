"""Everything that the client raises.

::

    ApixoError
    ├── ConfigurationError               the key or the base URL is missing or unusable
    ├── ImageFileError                   the local image file has no documented format
    ├── TransportError                   no whole answer came
    │   ├── UncertainSubmitError         ... to a submit, which may have been accepted and charged
    │   └── DownloadError                ... to the download of a result
    ├── ApiError                         the service answered with an error
    │   ├── BadRequestError              400
    │   ├── AuthenticationError          401
    │   ├── InsufficientBalanceError     402
    │   ├── PermissionDeniedError        403
    │   ├── NotFoundError                404
    │   ├── MethodNotAllowedError        405
    │   ├── PayloadTooLargeError         413
    │   ├── RateLimitedError             429
    │   ├── ServerError                  500, and any 5xx that is not below
    │   │   ├── UpstreamError            502
    │   │   ├── UnavailableError         503
    │   │   └── UpstreamTimeoutError     504
    │   └── InvalidResponseError         2xx, but not as documented
    ├── TaskFailed                       the task was accepted, then failed
    │   ├── ImageFormatIncorrectError    ImageFormatIncorrect
    │   ├── SensitiveContentError        SensitiveContent and its like
    │   ├── TaskRateLimitedError         RateLimited
    │   ├── TaskTimeoutError             Timeout
    │   └── UnknownFailureError          "Unknown error", and every code that is not documented
    ├── CallbackError                    what was received is no callback
    └── WaitTimeout                      the task still runs; wait for it again

An `OSError` is raised as it is when a local file cannot be read or written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from apixo_client._models import Task


class ApixoError(Exception):
    """Base of all errors. What does not apply to an error is None.

    Attributes:
        message: What went wrong, in the service's words where it sent some.
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
    """A local image file has none of the documented formats. Nothing was sent."""


class CallbackError(ApixoError):
    """What was received is no callback of this API."""


class TransportError(ApixoError):
    """No whole answer came: refused, reset, timed out, cut off. See ``__cause__``."""


class UncertainSubmitError(TransportError):
    """A submit was sent, but its answer did not come whole: the task may run and be charged.

    It is not sent again by itself, since a second submit costs money.
    """


class DownloadError(TransportError):
    """A result did not come whole. Nothing was written; the download can be repeated."""


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
    """A 2xx answer that is not as documented, such as one that is no JSON."""


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
    """The service does not say why the task failed, or by a code that is not documented."""


class WaitTimeout(ApixoError):
    """The task still ran when the time to wait was over; pass `task` to `wait` to go on.

    If the last poll failed, its error is ``__cause__``.
    """
