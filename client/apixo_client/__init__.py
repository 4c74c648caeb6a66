"""A thin client of APIXO's Image Upscaler, sync and async.

>>> from apixo_client import Apixo
>>> result = Apixo().upscale("https://example.com/in.jpg", resolution="8k")  # doctest: +SKIP
>>> result.download("out.jpg")  # doctest: +SKIP

The key comes from `APIXO_API_KEY`, the address from `APIXO_BASE_URL` (by default the live API).
"""

from apixo_client._async_client import AsyncApixo
from apixo_client._client import Apixo
from apixo_client._errors import (
    ApiError,
    ApixoError,
    AuthenticationError,
    BadRequestError,
    CallbackError,
    ConfigurationError,
    DownloadError,
    ImageFileError,
    ImageFormatIncorrectError,
    InsufficientBalanceError,
    InvalidResponseError,
    MethodNotAllowedError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    SensitiveContentError,
    ServerError,
    TaskFailed,
    TaskRateLimitedError,
    TaskTimeoutError,
    TransportError,
    UnavailableError,
    UncertainSubmitError,
    UnknownFailureError,
    UpstreamError,
    UpstreamTimeoutError,
    WaitTimeout,
)
from apixo_client._models import AsyncResult, Result, Task, TaskState
from apixo_client._retry import RetryPolicy
from apixo_client._timing import Pace, Timing
from apixo_client.webhooks import (
    CallbackReceiver,
    CallbackReply,
    CallbackRequest,
    CallbackServer,
    parse_callback,
)

__all__ = [
    "ApiError",
    "Apixo",
    "ApixoError",
    "AsyncApixo",
    "AsyncResult",
    "AuthenticationError",
    "BadRequestError",
    "CallbackError",
    "CallbackReceiver",
    "CallbackReply",
    "CallbackRequest",
    "CallbackServer",
    "ConfigurationError",
    "DownloadError",
    "ImageFileError",
    "ImageFormatIncorrectError",
    "InsufficientBalanceError",
    "InvalidResponseError",
    "MethodNotAllowedError",
    "NotFoundError",
    "Pace",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitedError",
    "Result",
    "RetryPolicy",
    "SensitiveContentError",
    "ServerError",
    "Task",
    "TaskFailed",
    "TaskRateLimitedError",
    "TaskState",
    "TaskTimeoutError",
    "Timing",
    "TransportError",
    "UnavailableError",
    "UncertainSubmitError",
    "UnknownFailureError",
    "UpstreamError",
    "UpstreamTimeoutError",
    "WaitTimeout",
    "parse_callback",
]


# Reprs and tracebacks show the path that users import from.
def _adopt() -> None:
    for name in __all__:
        globals()[name].__module__ = __name__


_adopt()
