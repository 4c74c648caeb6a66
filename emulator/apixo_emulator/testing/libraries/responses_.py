"""responses: a mock of requests whose users want their other routes to go on beside the emulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from requests.adapters import HTTPAdapter
from responses import RequestsMock

from apixo_emulator.testing.errors import InterceptionError
from apixo_emulator.testing.libraries.base import Library, Patches
from apixo_emulator.testing.traffic import find

# Where an active mock takes every call; it has no public seam for calls that are not to be mocked.
_SEAM = "_on_request"


class Responses(Library):
    """Lets the API's calls through any active mock, down to urllib3."""

    name = "responses"
    module = "responses"

    def __init__(self) -> None:
        super().__init__()
        self._patches = Patches()

    def attach(self) -> None:
        """Patch where mocks take calls.

        Raises:
            InterceptionError: This version of responses takes them elsewhere.
        """
        taken = vars(RequestsMock).get(_SEAM)
        if taken is None:
            raise InterceptionError(
                "this version of responses cannot be used together with intercept(); expected"
                f" RequestsMock.{_SEAM}, found none. Use another version, or no responses in the block."
            )
        self._patches.put(RequestsMock, _SEAM, _letting_through(taken))

    def detach(self) -> None:
        """Undo it."""
        self._patches.undo()

    def probe(self) -> Iterator[int]:
        """Leave the proof to requests."""
        yield from ()


def _letting_through(taken: Callable[..., Any]) -> Callable[..., Any]:
    def on_request(self: Any, adapter: HTTPAdapter, request: Any, **options: Any) -> Any:
        parts = urlsplit(request.url)
        if find(parts.scheme, parts.hostname or "", parts.port) is not None:
            return self._real_send(adapter, request, **options)
        return taken(self, adapter, request, **options)

    return on_request
