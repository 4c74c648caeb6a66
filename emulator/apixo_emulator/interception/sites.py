"""Which addresses stand for the API: the live one, and those that the application is told to use."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from apixo_emulator.core.wire import HttpRequest
from apixo_schemas import contract

BASE_URL_VARIABLE = "APIXO_BASE_URL"
DEFAULT_PORTS = {"http": 80, "https": 443}

# A scheme, a host in lower case without brackets, and a port.
Origin = tuple[str, str, int]


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
    parts = urlsplit(base_url.strip())
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError(
            f"expected an absolute URL such as {contract().live_base_url}, found {base_url!r}"
        )
    folder = parts.path.rstrip("/")
    while folder.endswith(contract().prefix):
        folder = folder.removesuffix(contract().prefix).rstrip("/")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = port == DEFAULT_PORTS[parts.scheme]
    return Site(
        origin=(parts.scheme, parts.hostname, port),
        authority=host if usual else f"{host}:{port}",
        folder=unquote(folder),
    )


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
