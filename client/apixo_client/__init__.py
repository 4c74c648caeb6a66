"""A thin client of APIXO's Image Upscaler, sync and async.

>>> from apixo_client import Apixo
>>> result = Apixo().upscale("https://example.com/in.jpg", resolution="8k")  # doctest: +SKIP
>>> result.download("out.jpg")  # doctest: +SKIP

The key comes from `APIXO_API_KEY`, the address from `APIXO_BASE_URL` (by default the live API).
"""

from apixo_client._core import set_default_timing
from apixo_client.callback_server import CallbackRequest, CallbackServer
from apixo_client.client import Apixo, AsyncApixo
from apixo_client.errors import (
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
from apixo_client.models import (
    AsyncResult,
    Pace,
    Result,
    RetryPolicy,
    Settings,
    Task,
    TaskState,
    Timing,
    resolve_settings,
)
from apixo_client.webhooks import CallbackReceiver, CallbackReply, parse_callback

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
    "Settings",
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
    "resolve_settings",
    "set_default_timing",
]

# Representations and tracebacks show the path that users import from.
for _name in __all__:
    globals()[_name].__module__ = __name__
