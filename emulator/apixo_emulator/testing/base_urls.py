"""The addresses of the API: the live one, and those that an application is told to use."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from apixo_emulator.domain.text import shown
from apixo_emulator.domain.wire import HttpRequest
from apixo_schemas import contract

BASE_URL_VARIABLE = "APIXO_BASE_URL"
DEFAULT_PORTS = {"http": 80, "https": 443}

# A scheme, a host in lower case without brackets, and a port.
Origin = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """An address of the API. ``folder`` is what its paths have before ``/api/v1``, mostly nothing."""

    origin: Origin
    authority: str
    folder: str

    @property
    def url(self) -> str:
        """The address to which the API's paths are appended, as result links carry it."""
        return f"{self.origin[0]}://{self.authority}{self.folder}"

    def request(
        self, method: str, target: str, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> HttpRequest:
        """Return a call as the emulator takes it; ``target`` is its path and query as sent."""
        path, _, query = target.partition("#")[0].partition("?")
        path = unquote(path) or "/"
        if self.folder and path.startswith(f"{self.folder}/"):
            path = path[len(self.folder) :]
        named = [(name.lower(), value) for name, value in headers]
        return HttpRequest(method, path, query.encode("latin-1"), named, body, self.url)


def origin_of(scheme: str, host: str, port: int | None) -> Origin:
    """Return an origin in the form in which origins are compared."""
    return scheme, host.lower().strip("[]").rstrip("."), port or DEFAULT_PORTS.get(scheme, 0)


@lru_cache(64)
def base_url_of(text: str) -> BaseUrl:
    """Return a base URL that was given with or without ``/api/v1``.

    Raises:
        ValueError: It is no absolute http(s) URL.
    """
    expected = f"expected an absolute URL such as {contract().live_base_url}"
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError as error:  # of the port, or of an IPv6 address
        raise ValueError(f"{expected}, found {shown(text)}: {error}") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{expected}, found {shown(text)}")
    folder = parts.path.rstrip("/")
    while folder.endswith(contract().prefix):
        folder = folder.removesuffix(contract().prefix).rstrip("/")
    origin = origin_of(parts.scheme, parts.hostname, port)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = origin[2] == DEFAULT_PORTS[parts.scheme]
    return BaseUrl(origin, host if usual else f"{host}:{origin[2]}", unquote(folder))


def live() -> BaseUrl:
    """Return the live API's base URL."""
    return base_url_of(contract().live_base_url)


def of_environment() -> BaseUrl | None:
    """Return the base URL of the variable ``APIXO_BASE_URL``, None if it is not set.

    Raises:
        ValueError: It is no absolute http(s) URL.
    """
    text = os.environ.get(BASE_URL_VARIABLE)
    return base_url_of(text) if text else None
