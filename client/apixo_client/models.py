"""Values that go into the client and come out of it, and how they are read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any, Self

import httpx

from apixo_client.errors import ConfigurationError, is_loopback
from apixo_schemas import contract

API_KEY_VARIABLE = "APIXO_API_KEY"
BASE_URL_VARIABLE = "APIXO_BASE_URL"
HIGHEST_PORT = 65535
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TaskState(StrEnum):
    """The documented states. A task can have another one, which counts as still running."""

    PENDING = "pending"
    PROCESSING = "processing"
    SUCCESS = "success"
    FAILED = "failed"


@dataclass(frozen=True)
class Task:
    """A task as last seen.

    Attributes:
        id: The task's id, opaque.
        state: A `TaskState`, or the service's text if it is none of them (``""`` if it sent none).
        result_urls: Where the results are, after success. Links expire after 24 hours (platform
            fact P6).
        fail_code: Why it failed, for programs.
        fail_message: Why it failed, for people.
        create_time: Unix time of creation in milliseconds.
        complete_time: Unix time of completion in milliseconds.
        cost_time: Duration of processing in milliseconds.
        resolution: The tier that this client submitted it with; it sets the pace of polling.
    """

    id: str
    state: TaskState | str = TaskState.PENDING
    result_urls: tuple[str, ...] = ()
    fail_code: str | None = None
    fail_message: str | None = None
    create_time: int | None = None
    complete_time: int | None = None
    cost_time: int | None = None
    resolution: str | None = field(default=None, compare=False)

    @property
    def is_final(self) -> bool:
        """True if the task has ended; False in every state that is not documented."""
        return self.state in {TaskState.SUCCESS, TaskState.FAILED}

    @property
    def created_at(self) -> datetime | None:
        """When the task was created, in UTC."""
        return _moment(self.create_time)

    @property
    def completed_at(self) -> datetime | None:
        """When the task ended, in UTC."""
        return _moment(self.complete_time)


def _moment(milliseconds: int | None) -> datetime | None:
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        # Beyond the calendar; the number itself is in the task.
        return None


@dataclass(frozen=True)
class Result:
    """A finished picture.

    Attributes:
        url: Where it is. The link expires after 24 hours (platform fact P6).
        task: The task that made it.
    """

    url: str
    task: Task
    _download: Callable[[str, str | os.PathLike[str]], Path] = field(repr=False, compare=False)

    def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, complete or not at all, and return its path.

        The client that returned the result must still be open.

        Raises:
            DownloadError: The picture did not arrive completely.
            ApiError: The file server answered with an error, such as 404 for an expired link.
            OSError: The file cannot be written.
        """
        return self._download(self.url, path)


@dataclass(frozen=True)
class AsyncResult:
    """A finished picture, from `AsyncApixo`; see `Result`."""

    url: str
    task: Task
    _download: Callable[[str, str | os.PathLike[str]], Awaitable[Path]] = field(
        repr=False, compare=False
    )

    async def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file; see `Result.download`."""
        return await self._download(self.url, path)


@dataclass(frozen=True)
class Pace:
    """When to poll; each time is picked at random from a range of seconds.

    Attributes:
        first_s: Between the submit and the first poll.
        interval_s: Between polls.
    """

    first_s: tuple[float, float]
    interval_s: tuple[float, float]

    @classmethod
    def every(cls, seconds: float) -> Self:
        """Return a constant pace, such as a fast one for an emulator."""
        return cls((seconds, seconds), (seconds, seconds))

    @classmethod
    def recommended(cls, resolution: str) -> Self:
        """Return the pace that the documentation recommends for a tier."""
        poll = contract().polling.for_tier(resolution.lower())
        first, interval = poll.first_ms, poll.interval_ms
        return cls((first[0] / 1000, first[1] / 1000), (interval[0] / 1000, interval[1] / 1000))


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how fast a failed request is repeated.

    Attributes:
        attempts: How often a request is sent at most, the first time included.
        base_s: Upper bound of the first pause, in seconds; it doubles with each failure.
        cap_s: Upper bound of every pause, in seconds.
        max_retry_after_s: A `Retry-After` longer than this is not waited for: the error is raised.
    """

    attempts: int = 8
    base_s: float = 1.0
    cap_s: float = 30.0
    max_retry_after_s: float = 300.0


async def _asleep(seconds: float) -> None:
    import anyio

    await anyio.sleep(seconds)


@dataclass(frozen=True)
class Timing:
    """The clocks of a client, its way to wait, and its random numbers.

    The functions of `time` are looked up at each call, because tests replace them.

    Attributes:
        monotonic: Returns seconds that never jump, for deadlines.
        wall: Returns the Unix time in seconds, for HTTP dates.
        sleep: Waits so many seconds, in `Apixo`.
        asleep: Waits so many seconds, in `AsyncApixo`.
        rng: Source of jitter.
    """

    monotonic: Callable[[], float] = lambda: time.monotonic()  # noqa: PLW0108 - see above
    wall: Callable[[], float] = lambda: time.time()  # noqa: PLW0108 - see above
    rng: Random = field(default_factory=Random)
    sleep: Callable[[float], object] = lambda seconds: time.sleep(seconds)  # noqa: PLW0108 - see above
    asleep: Callable[[float], Awaitable[object]] = _asleep


# Where the API is


@dataclass(frozen=True)
class Settings:
    """The API key, and the base URL with the API's prefix and without a slash at the end."""

    api_key: str = field(repr=False)
    base_url: str

    @property
    def is_loopback(self) -> bool:
        """True if the base URL names this machine."""
        return is_loopback(httpx.URL(self.base_url).host)


def resolve_settings(api_key: str | None = None, base_url: str | None = None) -> Settings:
    """Return key and base URL: an argument wins over the environment, that over the default.

    Args:
        api_key: None reads `APIXO_API_KEY`.
        base_url: With or without ``/api/v1``; None reads `APIXO_BASE_URL`, else it is the live API.

    Raises:
        ConfigurationError: The key is missing or cannot be sent, or the base URL is unusable.
    """
    key = api_key if api_key is not None else os.environ.get(API_KEY_VARIABLE, "")
    base = base_url if base_url is not None else os.environ.get(BASE_URL_VARIABLE, "")
    return Settings(_checked_key(key), _with_prefix(base or contract().live_base_url))


def _checked_key(key: str) -> str:
    # Keys from files and secret stores often end with a line end.
    key = key.strip()
    if not key:
        raise ConfigurationError(
            "No API key: an APIXO API key was expected. "
            f"Set the environment variable {API_KEY_VARIABLE}, or pass api_key=… to the client."
        )
    # A header takes no other characters. The key itself is not shown: errors end up in logs.
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(
            "The API key contains characters that no HTTP header can carry: printable ASCII was "
            f"expected. Check {API_KEY_VARIABLE} or api_key=… for quotes or a partial copy."
        )
    return key


def _with_prefix(base_url: str) -> str:
    """Return ``https://host/api/v1`` for that, for ``https://host`` and for both with a slash."""
    prefix = contract().prefix
    try:
        url = httpx.URL(base_url.strip())
        check_host(url)
        has_host = url.scheme in {"http", "https"} and url.host and len(base_url.split()) == 1
    except httpx.InvalidURL:
        url, has_host = httpx.URL(), False
    if not has_host or url.userinfo or url.query or url.fragment:
        # The text given is not repeated: it may contain a password.
        raise ConfigurationError(
            "The base URL cannot be used: an absolute http or https URL was expected, without "
            f"credentials, query or fragment, such as {contract().live_base_url}. "
            f"Check {BASE_URL_VARIABLE} or base_url=…."
        )
    path = url.path.rstrip("/")
    while path.endswith(prefix):
        path = path.removesuffix(prefix).rstrip("/")
    return str(url.copy_with(raw_path=b"/")).rstrip("/") + path + prefix


def check_host(url: httpx.URL) -> None:
    """Check what httpx checks only when it connects.

    Raises:
        httpx.InvalidURL: The host has no valid name, or the port is out of range.
    """
    try:
        url.host.encode("idna")
    except UnicodeError as error:
        raise httpx.InvalidURL(f"no host can have this name: {error}") from error
    if not 0 < (url.port or 1) <= HIGHEST_PORT:
        raise httpx.InvalidURL(f"there is no port {url.port}")


# Responses


def read_task(data: Any, task: Task) -> Task:
    """Return ``task`` as the ``data`` of a status response describe it.

    What is missing or has an unexpected type is left out; it is never an error.
    """
    fields = data if isinstance(data, Mapping) else {}
    state = _state(text(fields.get("state")) or "")
    return Task(
        task.id,
        state=state,
        result_urls=_result_urls(fields) if state == TaskState.SUCCESS else (),
        fail_code=text(fields.get("failCode")),
        fail_message=text(fields.get("failMsg")),
        create_time=integer(fields.get("createTime")),
        complete_time=integer(fields.get("completeTime")),
        cost_time=integer(fields.get("costTime")),
        resolution=task.resolution,
    )


def read_task_id(data: Mapping[str, Any]) -> str | None:
    """Return the id that the ``data`` of a response names; None if it is no text, or a blank one."""
    task_id = text(data.get("taskId")) or ""
    return task_id if task_id.strip() else None


def _state(name: str) -> TaskState | str:
    try:
        return TaskState(name.lower())
    except ValueError:
        return name


def _result_urls(fields: Mapping[str, Any]) -> tuple[str, ...]:
    # Documented as a JSON text; public clients accept the object itself (platform fact P16).
    result = fields.get("resultJson")
    if isinstance(result, str):
        result = parse_json(result)
    urls = result.get("resultUrls") if isinstance(result, Mapping) else None
    return tuple(filter(None, map(text, urls))) if isinstance(urls, list) else ()


def parse_json(content: bytes | str) -> Any:
    """Return parsed JSON with fractions as `Decimal`; None if it is no JSON. Never raises."""
    try:
        return json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    # Not JSON, not UTF-8, a number beyond all limits, or nested too deeply.
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def text(value: Any) -> str | None:
    """Return a text that can be printed and encoded; None if the value is no text."""
    if not isinstance(value, str):
        return None
    # JSON can hold halves of surrogate pairs, which no encoding takes.
    return value.encode("utf-8", "replace").decode("utf-8")


def integer(value: Any) -> int | None:
    """Return an integer; None if the value is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def printable(words: str) -> str:
    """Return a text with control characters escaped, so that it cannot control a terminal."""
    return "".join(
        char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in words
    )


def one_line(words: str) -> str:
    """Return a printable text as one line."""
    return printable(words).replace("\n", "\\n")
