"""Replacing attributes of other libraries: of mocks above the transports, and of the network below.

A replacement passes on everything that does not concern the API, and all calls when no session is
open.
"""

from __future__ import annotations

import socket
import ssl
import sys
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from apixo_emulator.testing import routing

_INHERITED = object()


class Patches:
    """Attributes that were replaced, to be put back."""

    def __init__(self) -> None:
        self._put: list[tuple[Any, str, Any, Any]] = []

    def put(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace an attribute, which the owner itself may have or inherit."""
        self._put.append((owner, name, vars(owner).get(name, _INHERITED), replacement))
        setattr(owner, name, replacement)

    def undo(self) -> None:
        """Restore what was there, unless another library has replaced it since."""
        while self._put:
            owner, name, before, replacement = self._put.pop()
            if vars(owner).get(name) is not replacement:
                continue
            if before is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


class ImportWatcher(MetaPathFinder):
    """Calls ``imported`` with the name of a module, one of ``names``, after its import."""

    def __init__(self, names: Collection[str], imported: Callable[[str], object]) -> None:
        self._names = names
        self._imported = imported

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that others find, with a loader that reports to the watcher."""
        if fullname not in self._names:
            return None
        finders = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in finders)
        spec = next((found for found in specs if found is not None), None)
        if spec is not None and spec.loader is not None:
            self._report(spec.loader)
        return spec

    def _report(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # the loader's own again
            execute(module)
            self._imported(module.__name__)

        loader.exec_module = exec_module


def patch_responses(responses: Any, patches: Patches) -> None:
    """Pass the API's calls on. The method is private: responses has no public place for it."""
    mock = responses.RequestsMock
    on_request = mock._on_request  # noqa: SLF001 - as above

    def on_other_request(self: Any, adapter: Any, request: Any, **options: Any) -> Any:
        if routing.is_answered(request.url):
            return self._real_send(adapter, request, **options)
        return on_request(self, adapter, request, **options)

    patches.put(mock, "_on_request", on_other_request)


def patch_respx(respx: Any, patches: Patches) -> None:
    """Pass the API's calls on where respx mocks httpx's clients: ``using="httpx"``.

    Where it mocks httpcore, as it usually does, it stands below the patched transports.
    """
    mocks, models = import_module("respx.mocks"), import_module("respx.models")
    handler, async_handler = mocks.HTTPXMocker.handler, mocks.HTTPXMocker.async_handler

    def let_through(request: Any) -> None:
        if routing.find(request.url.scheme, request.url.host, request.url.port) is not None:
            raise models.PassThrough("not mocked", request=request, origin=respx.Route())

    def handler_of_others(request: Any) -> Any:
        let_through(request)
        return handler(request)

    async def async_handler_of_others(request: Any) -> Any:
        let_through(request)
        return await async_handler(request)

    patches.put(mocks.HTTPXMocker, "handler", staticmethod(handler_of_others))
    patches.put(mocks.HTTPXMocker, "async_handler", staticmethod(async_handler_of_others))


def patch_requests_mock(requests_mock: Any, patches: Patches) -> None:
    """Pass the API's calls on to the network's adapter."""
    mock = requests_mock.Adapter
    send = mock.send

    def send_other(self: Any, request: Any, **options: Any) -> Any:
        if routing.is_answered(request.url):
            return import_module("requests.adapters").HTTPAdapter().send(request, **options)
        return send(self, request, **options)

    patches.put(mock, "send", send_other)


def patch_vcr(vcr: Any, patches: Patches) -> None:
    """Pass the API's calls through all cassettes, which neither replay nor record them."""
    cassette = vcr.cassette.Cassette
    for name in ("can_play_response_for", "filter_request", "append"):
        patches.put(cassette, name, _for_others(getattr(cassette, name)))


def _for_others(method: Callable[..., Any]) -> Callable[..., Any]:
    def for_others(self: Any, request: Any, *args: Any) -> Any:
        return None if routing.is_answered(request.uri) else method(self, request, *args)

    return for_others


def patch_aioresponses(aioresponses: Any, patches: Patches) -> None:
    """Raise a clear error when it takes a call to the API: it cannot pass it on from there."""
    mock = aioresponses.aioresponses
    match = mock.match

    async def match_other(self: Any, method: str, url: Any, *args: Any, **options: Any) -> Any:
        if routing.find(url.scheme, url.host or "", url.port) is not None:
            raise routing.InterceptionError(
                f"aioresponses has taken a call to {url.origin()}, which the emulator answers. Let it"
                f' pass: aioresponses(passthrough=["{url.origin()}"]), whatever is started first.'
            )
        return await match(self, method, url, *args, **options)

    patches.put(mock, "match", match_other)


def patch_network(_socket: Any, patches: Patches) -> None:
    """Refuse connections to the API's hosts: looking up the name, connecting, and TLS to it.

    TLS covers proxies, names that were looked up elsewhere, and event loops with look-ups of their
    own.
    """
    look_up = socket.getaddrinfo
    # pytest-socket refuses all look-ups, and does not undo it under a function of others.
    if getattr(look_up, "__module__", "") != "pytest_socket":

        def getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
            routing.check_connection(host, port)
            return look_up(host, port, *args, **options)

        patches.put(socket, "getaddrinfo", getaddrinfo)
    kind = next(base for base in socket.socket.__mro__ if base.__module__ == "socket")
    for name in ("connect", "connect_ex"):
        patches.put(kind, name, _checked_connect(getattr(kind, name)))
    for name in ("wrap_socket", "wrap_bio"):
        patches.put(ssl.SSLContext, name, _checked_tls(getattr(ssl.SSLContext, name)))


def _checked_connect(connect: Callable[..., Any]) -> Callable[..., Any]:
    def connect_elsewhere(self: Any, address: Any) -> Any:
        if isinstance(address, tuple):
            routing.check_connection(*address[:2])
        return connect(self, address)

    return connect_elsewhere


def _checked_tls(wrap: Callable[..., Any]) -> Callable[..., Any]:
    def wrap_elsewhere(self: Any, *args: Any, **options: Any) -> Any:
        routing.check_connection(options.get("server_hostname"))
        return wrap(self, *args, **options)

    return wrap_elsewhere
