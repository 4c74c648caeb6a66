"""Which addresses stand for the API: the live one, and those that the application is told to use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from apixo_emulator.domain.nearest import shown
from apixo_emulator.domain.problems import found
from apixo_emulator.domain.wire import HttpRequest
from apixo_schemas import contract

BASE_URL_VARIABLE = "APIXO_BASE_URL"
DEFAULT_PORTS = {"http": 80, "https": 443}

# A scheme, a host in lower case without brackets, and a port.
Origin = tuple[str, str, int]


def origin_of(scheme: str, host: str, port: int | None) -> Origin:
    """Give an origin as it is compared: there are several ways to write a host."""
    return scheme, host.lower().strip("[]").rstrip("."), port or DEFAULT_PORTS.get(scheme, 0)


@dataclass(frozen=True, slots=True)
class Site:
    """An address of the API. ``folder`` is what its paths have before ``/api/v1``, mostly nothing."""

    origin: Origin
    authority: str
    folder: str

    @property
    def base_url(self) -> str:
        """The address to which the API's paths are appended, as result links carry it."""
        return f"{self.origin[0]}://{self.authority}{self.folder}"

    def request(
        self, method: str, target: str, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> HttpRequest:
        """Make the gate's request of a call; ``target`` is its path and query as on the wire."""
        path, _, query = target.partition("#")[0].partition("?")
        path = unquote(path) or "/"
        if self.folder and path.startswith(f"{self.folder}/"):
            path = path[len(self.folder) :]
        named = [(name.lower(), value) for name, value in headers]
        return HttpRequest(method, path, query.encode("latin-1"), named, body, self.base_url)


@lru_cache(64)
def site_of(base_url: str) -> Site:
    """Read a base URL, with or without ``/api/v1``.

    Raises:
        ValueError: It is no absolute http(s) URL.
    """
    expected = f"expected an absolute URL such as {contract().live_base_url}"
    try:
        parts = urlsplit(base_url.strip())
        port = parts.port
    except ValueError as error:  # of the port, or of an IPv6 address
        raise ValueError(f"{expected}, found {shown(base_url)}: {error}") from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{expected}, found {shown(base_url)}")
    folder = parts.path.rstrip("/")
    while folder.endswith(contract().prefix):
        folder = folder.removesuffix(contract().prefix).rstrip("/")
    port = port or DEFAULT_PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = port == DEFAULT_PORTS[parts.scheme]
    return Site(
        origin=origin_of(parts.scheme, parts.hostname, port),
        authority=host if usual else f"{host}:{port}",
        folder=unquote(folder),
    )


def base_urls(given: Any) -> tuple[str, ...]:
    """Read one base URL, or several.

    Raises:
        TypeError: It is neither.
    """
    listed = (given,) if isinstance(given, str) else given
    urls = (
        tuple(listed)
        if isinstance(listed, Iterable) and not isinstance(listed, bytes)
        else (given,)
    )
    for url in urls:
        if not isinstance(url, str):
            expected = f"expected a URL such as {contract().live_base_url}, or a list of them"
            raise TypeError(f"base_url: {expected}; found {found(url)}")
    return urls


def live_site() -> Site:
    """Give the live API's address."""
    return site_of(contract().live_base_url)


class Sites:
    """The addresses of one interception; that of ``APIXO_BASE_URL`` may change while it lasts."""

    def __init__(self, base_urls: Iterable[str]) -> None:
        sites = [live_site(), *map(site_of, base_urls)]
        self._fixed = {site.origin: site for site in sites}

    def find(self, origin: Origin) -> Site | None:
        """Give the site at an origin, None where it is another's."""
        found = self._fixed.get(origin)
        if found is not None:
            return found
        base_url = os.environ.get(BASE_URL_VARIABLE)
        if not base_url:
            return None
        try:
            site = site_of(base_url)
        except ValueError:  # whoever uses it says so
            return None
        return site if site.origin == origin else None
