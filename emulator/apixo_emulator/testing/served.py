"""An emulator on a real port of this machine, in a thread of this process."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from apixo_emulator.domain.accounts import micros
from apixo_emulator.pictures import PictureStore
from apixo_emulator.serve import Embedded
from apixo_emulator.service import Emulator, Options, WorldOptions
from apixo_emulator.service.control import WorldControl
from apixo_emulator.settings import Settings
from apixo_emulator.storage import SqliteStore
from apixo_emulator.testing import routing
from apixo_emulator.testing.clock import RealTimeLoop, real_ns
from apixo_emulator.testing.controls import Controls, span_ms
from apixo_emulator.testing.routing import base_url_of
from apixo_emulator.testing.setup import Setup
from apixo_schemas import contract

# What a server that is shared by a session's tests can take anew for each of them.
_OPTIONS = ("seed", "latency", "balance", "scenario")
_FAST = "fast"
_PATIENCE_S = 30.0


class Served(Controls):
    """A running emulator; ``base_url`` is the API's. Its clock runs, unless frozen or advanced."""

    def __init__(self, emulator: Emulator, base_url: str) -> None:
        super().__init__(WorldControl(emulator))
        self._emulator = emulator
        self.base_url = base_url

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Move the clock on; callbacks that fall due are posted soon.

        Raises:
            TypeError: The time is no number.
            ValueError: The time is negative, or beyond what a clock shows.
        """
        self.operator.advance(span_ms(seconds, minutes, hours))

    def freeze(self) -> None:
        """Stop the clock; `advance` still moves it."""
        self.operator.set_clock(frozen=True)

    def reset(self, **options: Any) -> None:
        """Begin anew, for the next test.

        Args:
            options: ``seed``, ``latency``, ``balance`` and ``scenario``, as in `intercept`.

        Raises:
            TypeError: There is no such option for a server that tests share.
            ValueError: A value is out of range.
        """
        for name in options:
            if name not in _OPTIONS:
                raise TypeError(
                    f"apixo_server takes {', '.join(_OPTIONS)}, found {name!r}: tests share it."
                    " The fixture apixo takes all options."
                )
        setup = Setup.of(**{"latency": _FAST, **options})
        settings = setup.settings
        self._emulator.retune(settings.latency, settings.balance)
        self.operator.reset(settings.seed)
        if setup.scenario:
            self.scenario(*setup.scenario)


@contextmanager
def serving() -> Iterator[Served]:
    """Serve on a free port of this machine until the block ends."""
    with tempfile.TemporaryDirectory(prefix="apixo-emulator-") as folder:
        pictures = PictureStore(Path(folder) / "pictures")
        latency = Settings.of(latency=_FAST).latency
        options = Options(latency, micros("100"), worlds=WorldOptions(seed=0))
        emulator = Emulator(SqliteStore(None), pictures, options, _clock())
        server = Embedded(emulator, pictures)
        thread = threading.Thread(
            target=server.run, args=(RealTimeLoop,), name="apixo-emulator", daemon=True
        )
        thread.start()
        try:
            base_url = base_url_of(server.ready(_PATIENCE_S))
            routing.served.add(base_url.origin)
            yield Served(emulator, base_url.url + contract().prefix)
        finally:
            server.stop()
            thread.join(_PATIENCE_S)


def _clock() -> Callable[[], int]:
    """Return a clock in Unix ms that runs although a test has frozen the time."""
    start_ms, start_ns = time.time_ns() // 1_000_000, real_ns()
    return lambda: start_ms + (real_ns() - start_ns) // 1_000_000
