"""Replacing attributes of other libraries, at once and when a library is imported later."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Collection, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Patches:
    """Attributes that were replaced, to be put back."""

    def __init__(self) -> None:
        self._put: list[tuple[Any, str, Any, Any]] = []
        self._ours: set[Any] = set()
        self._known: dict[str, list[tuple[Any, str, Any, Any]]] = {}

    def put(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace an attribute, which the owner itself may have or inherit."""
        self._put.append((owner, name, vars(owner).get(name, _INHERITED), replacement))
        self._ours.add(replacement)
        setattr(owner, name, replacement)

    def put_all(self, key: str, put: Callable[[], object]) -> None:
        """Put what ``put`` puts; the next time with the same key again, if nothing has changed."""
        known = self._known.get(key)
        if known and all(vars(owner).get(name, _INHERITED) is was for owner, name, was, _ in known):
            for owner, name, _, replacement in known:
                self.put(owner, name, replacement)
            return
        first = len(self._put)
        put()
        self._known[key] = self._put[first:]

    def made(self, value: object) -> bool:
        """True if an attribute was replaced by this."""
        return value in self._ours

    def undo(self) -> None:
        """Put back what was there, unless another library has replaced it since.

        Then its replacement stays. Ours, which it may call, passes everything on when no session is
        open.
        """
        self._ours.clear()
        while self._put:
            owner, name, before, replacement = self._put.pop()
            if vars(owner).get(name) is not replacement:
                continue
            if before is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


_INHERITED = object()


class ImportWatcher(MetaPathFinder):
    """Calls ``imported`` with the name of a module, one of ``names``, after its import."""

    def __init__(self, names: Collection[str], imported: Callable[[str], object]) -> None:
        self._names = names
        self._imported = imported
        self._busy = threading.local()

    def start(self) -> None:
        """Watch from now on."""
        sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Watch no longer."""
        sys.meta_path.remove(self)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that others find, with a loader that reports to the watcher."""
        if fullname not in self._names or getattr(self._busy, "searching", False):
            return None
        self._busy.searching = True
        try:
            specs = (
                finder.find_spec(fullname, path, target)
                for finder in sys.meta_path
                if finder is not self
            )
            spec = next((found for found in specs if found is not None), None)
        finally:
            self._busy.searching = False
        if spec is not None and spec.loader is not None:
            self._report(spec.loader)
        return spec

    def _report(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # the loader's own again
            execute(module)
            self._imported(module.__name__)

        loader.exec_module = exec_module
