"""requests: its calls go through urllib3, so here is only the proof."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from apixo_emulator.testing.libraries.base import PROBE_URL, Library


class Requests(Library):
    """Attached where urllib3 is."""

    name = "requests"
    module = "requests"

    def attach(self) -> None:
        """Nothing is to be done."""

    def detach(self) -> None:
        """Nothing is to be undone."""

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give what is above the patches."""
        yield requests.Session, "send"
        yield requests.Session, "get_adapter"
        yield HTTPAdapter, "send"

    def probe(self) -> Iterator[int]:
        """Call as everybody does."""
        with requests.Session() as session:
            session.trust_env = False
            yield session.get(PROBE_URL, allow_redirects=False, timeout=5).status_code
