"""Replacing attributes of other libraries: of mocks above the transports, and of the network below.

A replacement passes on everything that does not concern the API, and all calls when no session is
open.
"""

from __future__ import annotations

import re
import socket
import ssl
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from apixo_emulator.testing import routing

_Function = Callable[..., Any]

_INHERITED = object()
_HTTP_PORT, _HTTPS_PORT = 80, 443
# The head of a request of HTTP/1: host and port of its target, as a proxy gets them, and of `Host`.
_AUTHORITY = rb"([^\s/:]*+|\[[^\s/]*\])(?::(\d{1,5}))?"
_REQUEST = re.compile(
    rb"[A-Z]{3,10} (?:https?://)?%b\S*+ HTTP/1\.\d\r\n(?:(?!Host:|\r\n).*\n)*+(?:Host:[ \t]*%b)?"
    % (_AUTHORITY, _AUTHORITY),
    re.IGNORECASE,
)


# Of a replacement: itself, as another library may copy its attributes, and what it replaced.
_REPLACED = "apixo_replaced"


def restore(owner: Any, name: str) -> None:
    """Restore what was there before a replacement, unless another library has replaced that."""
    found = vars(owner).get(name)
    replacement, before = getattr(found, "__dict__", {}).get(_REPLACED, (None, None))
    if replacement is not None and replacement is found:
        _set(owner, name, before)


def _set(owner: Any, name: str, before: Any) -> None:
    if before is _INHERITED:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


class Patches:
    """Attributes that were replaced, to be put back.

    Another mock that replaces a replacement can put it back at any time, also after `undo`: then it
    passes on all calls, and the next session removes it.
    """

    def __init__(self) -> None:
        self._put: set[tuple[Any, str]] = set()
        # By attribute: what it was and its replacement. To make one for each test is costly.
        self._made: dict[tuple[Any, str], tuple[Any, Any]] = {}
        self._undo: dict[Any, Callable[[], object]] = {}

    def put(self, owner: Any, name: str, replacing: Callable[[Any], Any]) -> None:
        """Replace an attribute, which the owner itself may have or inherit, unless that is done.

        ``replacing`` returns the replacement of what it is given.
        """
        attribute = owner, name
        before, replacement = self._made.get(attribute, (None, None))
        found = vars(owner).get(name, _INHERITED)
        if found is not replacement:
            if found is not before:
                restore(owner, name)
                before = vars(owner).get(name, _INHERITED)
                replacement = replacing(getattr(owner, name))
                setattr(replacement, _REPLACED, (replacement, before))
                self._made[attribute] = (before, replacement)
            setattr(owner, name, replacement)
        self._put.add(attribute)

    def is_put(self, owner: Any, name: str) -> bool:
        """True if an attribute is replaced just now."""
        attribute = owner, name
        return attribute in self._put and vars(owner).get(name) is self._made[attribute][1]

    def once(self, owner: Any, change: Callable[[], Callable[[], object]]) -> None:
        """Make a change of another kind, unless that is done; `undo` calls what it returns."""
        if owner not in self._undo:
            self._undo[owner] = change()

    def undo(self) -> None:
        """Restore what was there, unless another library has replaced it since."""
        while self._put:
            owner, name = attribute = self._put.pop()
            before, replacement = self._made[attribute]
            if vars(owner).get(name) is replacement:
                _set(owner, name, before)
        while self._undo:
            self._undo.popitem()[1]()


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
        spec = next(filter(None, specs), None)
        loader: Any = spec.loader if spec is not None else None
        if loader is None:
            return spec
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)  # the loader's own again
            execute(module)
            self._imported(module.__name__)

        loader.exec_module = exec_module
        return spec


def _unless_answered(at: int, instead: _Function) -> Callable[[_Function], _Function]:
    """Do something instead where the emulator answers.

    The request, or its URL, is at this place of the arguments.
    """

    def replacing(original: _Function) -> _Function:
        def unless_answered(*args: Any, **options: Any) -> Any:
            asked = args[at]
            url = getattr(asked, "url", None) or getattr(asked, "uri", asked)
            chosen = instead if routing.is_answered(str(url)) else original
            return chosen(*args, **options)

        return unless_answered

    return replacing


def patch_responses(responses: Any, patches: Patches) -> None:
    """Pass the API's calls on. The method is private: responses has no public place for it."""

    def send(mock: Any, adapter: Any, request: Any, **options: Any) -> Any:
        return mock._real_send(adapter, request, **options)  # noqa: SLF001 - as above

    patches.put(responses.RequestsMock, "_on_request", _unless_answered(2, send))


def patch_respx(respx: Any, patches: Patches) -> None:
    """Pass the API's calls on where respx mocks httpx's clients: ``using="httpx"``.

    Where it mocks httpcore, as it usually does, it stands below the patched transports.
    """
    mocks, models = import_module("respx.mocks"), import_module("respx.models")

    def pass_through(request: Any) -> Any:
        raise models.PassThrough("not mocked", request=request, origin=respx.Route())

    replacing = _unless_answered(0, pass_through)
    for name in ("handler", "async_handler"):
        patches.put(mocks.HTTPXMocker, name, lambda handler: staticmethod(replacing(handler)))


def patch_requests_mock(requests_mock: Any, patches: Patches) -> None:
    """Pass the API's calls on to the network's adapter."""

    def send(_mock: Any, request: Any, **options: Any) -> Any:
        return import_module("requests.adapters").HTTPAdapter().send(request, **options)

    patches.put(requests_mock.Adapter, "send", _unless_answered(1, send))


def patch_vcr(vcr: Any, patches: Patches) -> None:
    """Pass the API's calls through all cassettes, which neither replay nor record them."""
    for name in ("can_play_response_for", "filter_request", "append"):
        replacing = _unless_answered(1, lambda *_args, **_options: None)
        patches.put(vcr.cassette.Cassette, name, replacing)


def patch_aioresponses(aioresponses: Any, patches: Patches) -> None:
    """Raise a clear error when it takes a call to the API: it cannot pass it on from there."""

    def refuse(_mock: Any, _method: str, url: Any, *_args: Any, **_options: Any) -> Any:
        raise routing.InterceptionError(
            f"aioresponses has taken a call to {url.origin()}, which the emulator answers. Let it"
            f' pass: aioresponses(passthrough=["{url.origin()}"]), whatever is started first.'
        )

    patches.put(aioresponses.aioresponses, "match", _unless_answered(2, refuse))


def patch_network(_socket: Any, patches: Patches) -> None:
    """Refuse connections to the API's hosts at each step: look-up, connecting, TLS, and HTTP.

    TLS and the head of a request name the host also when the connection goes to a proxy, or to an
    address that was looked up elsewhere.
    """
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
        # pytest-socket refuses all look-ups, and does not undo it under a function of others.
        if getattr(getattr(socket, name), "__module__", "") != "pytest_socket":
            patches.put(socket, name, partial(_checked, _check_name))
    kind = next(base for base in socket.socket.__mro__ if base.__module__ == "socket")
    for name in ("connect", "connect_ex"):
        patches.put(kind, name, partial(_checked, _check_address))
    for name in ("send", "sendall"):
        patches.put(kind, name, partial(_checked, _check_plain))
    if hasattr(kind, "sendmsg"):  # not on Windows
        patches.put(kind, "sendmsg", _checked_sendmsg)
    for name in ("wrap_socket", "wrap_bio"):
        patches.put(ssl.SSLContext, name, partial(_checked, _check_tls))
    patches.put(ssl.SSLSocket, "send", partial(_checked, _check_encrypted))
    patches.put(ssl.SSLObject, "write", partial(_checked, _check_encrypted))


def patch_trio(trio: Any, patches: Patches) -> None:
    """Check what trio sends: it calls the method of sockets that it found at its import."""
    patches.put(trio.SocketStream, "send_all", partial(_checked, _check_plain))


def patch_uvloop(uvloop: Any, patches: Patches) -> None:
    """Refuse the same to uvloop, which looks up and connects without Python's sockets."""
    patches.put(uvloop.Loop, "getaddrinfo", partial(_checked, _check_name_of_loop))
    patches.put(uvloop.Loop, "create_connection", partial(_checked, _check_connection_of_loop))
    patches.put(uvloop.Loop, "sock_connect", partial(_checked, _check_address))


def _checked(check: _Function, original: _Function) -> _Function:
    """Check the arguments of a call before it is made."""

    def checked(*args: Any, **options: Any) -> Any:
        check(*args, **options)
        return original(*args, **options)

    return checked


def _checked_sendmsg(sendmsg: _Function) -> _Function:
    def checked(self: Any, buffers: Any, *args: Any) -> Any:
        pieces = list(buffers)
        _check_plain(self, b"".join(pieces[:1]))
        return sendmsg(self, pieces, *args)

    return checked


def _check_name(host: Any, port: Any = None, *_args: Any, **_options: Any) -> None:
    routing.check_connection(host, port)


def _check_name_of_loop(_loop: Any, host: Any, port: Any, **_options: Any) -> None:
    routing.check_connection(host, port)


def _check_connection_of_loop(
    _loop: Any, _protocol: Any = None, host: Any = None, port: Any = None, **_options: Any
) -> None:
    routing.check_connection(host, port)


def _check_address(*args: Any) -> None:
    if isinstance(args[-1], tuple):
        routing.check_connection(*args[-1][:2])


def _check_tls(*_args: Any, server_hostname: Any = None, **_options: Any) -> None:
    routing.check_connection(server_hostname, _HTTPS_PORT)


def _check_plain(_self: Any, data: Any, *_args: Any, **_options: Any) -> None:
    _check_request(data, _HTTP_PORT)


def _check_encrypted(_self: Any, data: Any, *_args: Any, **_options: Any) -> None:
    _check_request(data, _HTTPS_PORT)


def _check_request(data: Any, default_port: int) -> None:
    head = _REQUEST.match(data)
    if head is not None:
        routing.check_connection(head[1], head[2] or default_port)
        routing.check_connection(head[3], head[4] or default_port)
