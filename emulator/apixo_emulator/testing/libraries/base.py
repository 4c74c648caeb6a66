"""What an adapter is, and what several of them share."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, ClassVar, TypeVar

from apixo_emulator.domain.faults import announced_bytes
from apixo_emulator.domain.wire import Headers, HttpResponse, WireFault
from apixo_emulator.testing.errors import InterceptionError
from apixo_emulator.testing.sites import live_site
from apixo_emulator.testing.traffic import PROBE_PATH, PROBE_STATUS

_T = TypeVar("_T")
PROBE_URL = f"{live_site().base_url}{PROBE_PATH}"


class Library(ABC):
    """Routes one library's calls to `traffic.find` while attached."""

    # As people know it, and the module whose import makes it attachable.
    name: ClassVar[str]
    module: ClassVar[str]

    def __init__(self) -> None:
        self._proved: list[Any] | None = None

    @abstractmethod
    def attach(self) -> None:
        """Patch the library, which is imported.

        Raises:
            InterceptionError: It cannot be done.
        """

    @abstractmethod
    def detach(self) -> None:
        """Undo `attach`."""

    @abstractmethod
    def probe(self) -> Iterator[int]:
        """Call `PROBE_URL` in each way that the library's users may, and give the statuses."""

    def path(self) -> Iterator[tuple[Any, str]]:
        """Give the functions, by owner and name, that a call goes through above what is patched.

        Others who intercept calls replace one of them.
        """
        yield from ()

    def prove(self) -> None:
        """Make sure that calls arrive: by calls, unless that was done and nothing has changed since.

        Raises:
            InterceptionError: They do not.
        """
        path = [vars(owner)[name] for owner, name in self.path()]
        if self._proved is not None and all(map(operator.is_, path, self._proved)):
            return
        self._call()
        self._proved = path

    def _call(self) -> None:
        try:
            statuses = list(self.probe())
        except Exception as error:
            raise self._detached(f"raised {type(error).__name__}: {error}") from error
        wrong = [status for status in statuses if status != PROBE_STATUS]
        if wrong:
            raise self._detached(f"was answered {wrong[0]} by somebody else")

    def _detached(self, found: str) -> InterceptionError:
        return InterceptionError(
            f"calls of {self.name} do not reach the emulator: a first one to {PROBE_URL} {found}."
            " Something else intercepts them, too: let it leave this host alone, or start it inside"
            " of the block."
        )


class Patches:
    """Attributes that were replaced, to be put back."""

    def __init__(self) -> None:
        self._made: list[tuple[Any, str, Any, Any]] = []

    def put(self, owner: Any, name: str, replacement: Any) -> None:
        """Replace an attribute that the owner itself has."""
        self._made.append((owner, name, vars(owner)[name], replacement))
        setattr(owner, name, replacement)

    def undo(self) -> None:
        """Put back what was there, unless somebody else has replaced it since.

        Then theirs stays, and ours below it lets every call through.
        """
        while self._made:
            owner, name, before, replacement = self._made.pop()
            if vars(owner)[name] is replacement:
                setattr(owner, name, before)


def wire_headers(response: HttpResponse) -> Headers:
    """Give an answer's headers with its length, which is a lie where it is to be truncated."""
    if response.status == 304:  # noqa: PLR2004 - Not Modified has no body
        return response.headers
    return (*response.headers, (b"content-length", b"%d" % announced_bytes(response)))


class DamagedStream:
    """A body that comes a byte at a time, or ends before its announced length.

    ``error`` is raised at the end, where there is one.
    """

    def __init__(self, body: bytes, fault: WireFault, error: Exception | None) -> None:
        self._pieces = [bytes((value,)) for value in body] if fault is WireFault.DRIP else [body]
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        """Give the body's pieces."""
        yield from self._pieces
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Give the body's pieces."""
        for piece in self:
            yield piece

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""


def cut_short(response: HttpResponse) -> str:
    """Say it as HTTP libraries do where a body ends before its announced length."""
    return (
        "peer closed connection without sending complete message body"
        f" (received {len(response.body)} bytes, expected {announced_bytes(response)})"
    )


RESET = "[Errno 104] Connection reset by peer"


def without_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that waits for nothing, as a call that is intercepted does."""
    try:
        work.send(None)
    except StopIteration as done:
        outcome: _T = done.value
        return outcome
    work.close()
    raise RuntimeError("went to the network")
