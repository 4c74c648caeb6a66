"""Attaching to libraries while any block is open: those that are imported, and those that will be.

No library is imported for it. Attached is what is there; a watcher of imports sees to the rest.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from apixo_emulator.testing.errors import InterceptionError
from apixo_emulator.testing.libraries.base import Library

_PACKAGE = "apixo_emulator.testing.libraries"
# By the module whose import makes it worth attaching: the adapter's module and class.
_ADAPTERS = {
    "http.client": ("http_client", "HttpClient"),
    "urllib3": ("urllib3_", "Urllib3"),
    "requests": ("requests_", "Requests"),
    "responses": ("responses_", "Responses"),
    "respx": ("respx_", "Respx"),
    "httpx": ("httpx_", "Httpx"),
    "httpx2": ("httpx2_", "Httpx2"),
    "aiohttp": ("aiohttp_", "Aiohttp"),
}
_lock = threading.RLock()
_attached: dict[str, Library] = {}
_holders = 0


def hold() -> None:
    """Attach, unless some other block has, and prove that calls arrive.

    Raises:
        InterceptionError: They do not; then nothing is held.
    """
    global _holders  # noqa: PLW0603 - counted for the whole process, as libraries are patched for it
    with _lock:
        _holders += 1
        try:
            if _holders == 1:
                sys.meta_path.insert(0, _watcher)
            for module in _ADAPTERS:
                if module in sys.modules and module not in _attached:
                    _attach(module)
            for library in _attached.values():
                library.prove()
        except BaseException:
            release()
            raise


def release() -> None:
    """Detach, unless some other block is open."""
    global _holders  # noqa: PLW0603 - as above
    with _lock:
        _holders -= 1
        if _holders:
            return
        sys.meta_path.remove(_watcher)
        while _attached:
            _, library = _attached.popitem()
            library.detach()


def _attach(module: str) -> None:
    library = _adapter(module)
    library.attach()
    _attached[module] = library


@cache
def _adapter(module: str) -> Library:
    file, name = _ADAPTERS[module]
    try:
        made: Library = getattr(import_module(f"{_PACKAGE}.{file}"), name)()
    except ModuleNotFoundError as error:
        raise InterceptionError(
            f"calls of {module} are intercepted with the help of {error.name}, which is not"
            " installed. Install it: pip install 'apixo-emulator[pytest]'"
        ) from error
    return made


def _imported(module: str) -> None:
    """Attach to what was imported while a block is open."""
    with _lock:
        if _holders and module not in _attached:
            _attach(module)
            _attached[module].prove()


class _Watcher(MetaPathFinder):
    """Sees imports of the libraries; finding and loading them stays with others."""

    def __init__(self) -> None:
        self._busy = threading.local()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a library as others do, and have its loading followed by attaching."""
        if fullname not in _ADAPTERS or getattr(self._busy, "searching", False):
            return None
        self._busy.searching = True
        try:
            spec = _others_spec(self, fullname, path, target)
        finally:
            self._busy.searching = False
        if spec is not None and spec.loader is not None:
            _follow(spec, lambda: _imported(fullname))
        return spec


def _others_spec(
    watcher: MetaPathFinder, fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not watcher:
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                return spec
    return None


def _follow(spec: ModuleSpec, then: Callable[[], object]) -> None:
    """Do something once a module has been executed."""
    loader = spec.loader
    if loader is None:
        return
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # it hides the loader's own only once
        execute(module)
        then()

    loader.exec_module = exec_module  # type: ignore[method-assign] # loaders are made per module


_watcher = _Watcher()
