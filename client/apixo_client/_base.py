"""What both clients are made of."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from apixo_client._config import resolve
from apixo_client._errors import ConfigurationError
from apixo_client._flows import Flows
from apixo_client._retry import RetryPolicy
from apixo_client._timing import Timing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apixo_client._timing import Pace

# What connecting, and each read or write, may take.
HTTP_TIMEOUT_S = 30.0
# The slowest tasks that were seen take about a minute.
WAIT_TIMEOUT_S = 600.0


class BaseClient:
    """The settings of a client."""

    def __init__(
        self,
        api_key: str | None,
        base_url: str | None,
        *,
        retry: RetryPolicy | None,
        pace: Pace | None,
        timing: Timing | None,
    ) -> None:
        settings = resolve(api_key, base_url)
        self._flows = Flows(settings, retry or RetryPolicy(), pace, timing or Timing())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._flows.settings.base_url}>"


@contextmanager
def usable_environment() -> Iterator[None]:
    """Say of a proxy of the environment that it is none; httpx reads it when a client is made.

    Raises:
        ConfigurationError: It is none.
    """
    try:
        yield
    except (httpx.InvalidURL, ValueError) as error:
        raise ConfigurationError(
            f"The proxy that the environment names cannot be used: {error}. A URL such as "
            "http://127.0.0.1:3128 was expected. Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY."
        ) from error


def only_one(transport: object, http_client: object) -> None:
    """Refuse a transport beside a client, which has its own.

    Raises:
        ConfigurationError: Both are given.
    """
    if transport is not None and http_client is not None:
        raise ConfigurationError(
            "Both transport=… and http_client=… were given, at most one was expected. "
            "Give the transport to your httpx client."
        )
