"""respx, where it mocks httpx above its transports: there it lets the API's calls through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import httpx
import respx
from respx.mocks import HTTPCoreMocker, Mocker
from respx.models import AllMockedAssertionError, PassThrough

from apixo_emulator.testing.libraries.base import Library
from apixo_emulator.testing.traffic import find


class _Router(respx.Router):
    """Stands before all routers of one of respx's mockers and leaves to them what is not ours."""

    def __init__(self, mocker: type[Mocker]) -> None:
        super().__init__()
        self.mocker = mocker

    def handler(self, request: httpx.Request) -> NoReturn:
        """Let a call through to httpx's own transport, or leave it to the next router."""
        ours = find(request.url.scheme, request.url.host, request.url.port) is not None
        if ours or self.mocker.routers == [self]:
            raise PassThrough("not to be mocked", request=request, origin=respx.Route())
        raise AllMockedAssertionError(f"RESPX: {request!r} not mocked!")

    async def async_handler(self, request: httpx.Request) -> NoReturn:
        """Do the same for an async call."""
        self.handler(request)


class Respx(Library):
    """Its usual mocker, of httpcore, stands below; the one of httpx does not."""

    name = "respx"
    module = "respx"

    def __init__(self) -> None:
        super().__init__()
        above = [mocker for mocker in Mocker.registry.values() if mocker is not HTTPCoreMocker]
        self._routers = [_Router(mocker) for mocker in above]

    def attach(self) -> None:
        """Stand before the routers of the mockers above."""
        for router in self._routers:
            router.mocker.routers.insert(0, router)

    def detach(self) -> None:
        """Step aside; a mocker goes on if it has other routers."""
        for router in self._routers:
            router.mocker.unregister(router)
            router.mocker.stop()

    def probe(self) -> Iterator[int]:
        """Leave the proof to httpx."""
        yield from ()
