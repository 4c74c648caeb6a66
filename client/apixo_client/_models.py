"""What the client gives back: tasks and results, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable
    from pathlib import Path

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TaskState(StrEnum):
    """The documented states. A task may carry others: those count as still running."""

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
        result_urls: Where the results are, after success. Links expire after 24 hours.
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
        """Whether the task has ended; False for every state that is not documented."""
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
        # No calendar holds it; the number itself is still at hand.
        return None


@dataclass(frozen=True)
class Result:
    """A finished picture.

    Attributes:
        url: Where it is. The link expires after 24 hours.
        task: The task that made it.
    """

    url: str
    task: Task
    _download: Callable[[str, str | os.PathLike[str]], Path] = field(repr=False, compare=False)

    def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, whole or not at all, and give its path.

        The client that gave the result must still be open.

        Raises:
            DownloadError: It did not come whole.
            ApiError: The file server answered with an error, such as 404 for an expired link.
            OSError: The file cannot be written.
        """
        return self._download(self.url, path)


@dataclass(frozen=True)
class AsyncResult:
    """A finished picture, from `AsyncApixo`.

    Attributes:
        url: Where it is. The link expires after 24 hours.
        task: The task that made it.
    """

    url: str
    task: Task
    _download: Callable[[str, str | os.PathLike[str]], Awaitable[Path]] = field(
        repr=False, compare=False
    )

    async def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture to a file, whole or not at all, and give its path.

        The client that gave the result must still be open.

        Raises:
            DownloadError: It did not come whole.
            ApiError: The file server answered with an error, such as 404 for an expired link.
            OSError: The file cannot be written.
        """
        return await self._download(self.url, path)
