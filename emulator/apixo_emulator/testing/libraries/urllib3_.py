"""urllib3, and with it requests."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from apixo_emulator.testing.libraries.base import PROBE_URL
from apixo_emulator.testing.libraries.http_client import Connections


class Urllib3(Connections):
    """Its connections are `http.client`'s, but opened in its own way."""

    name = "urllib3"
    module = "urllib3"
    kinds = (HTTPConnection, HTTPSConnection)

    def detach(self) -> None:
        """Undo it; no pool keeps a connection that leads nowhere."""
        _pools().clear()
        super().detach()

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        yield urllib3.PoolManager, "urlopen"
        yield urllib3.HTTPConnectionPool, "urlopen"
        yield HTTPConnection, "request"

    def probe(self) -> Iterator[int]:
        """Call through a pool."""
        yield _pools().request("GET", PROBE_URL, retries=False).status


@cache
def _pools() -> urllib3.PoolManager:
    return urllib3.PoolManager()
