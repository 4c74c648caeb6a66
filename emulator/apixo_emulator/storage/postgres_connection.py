"""One connection to PostgreSQL that never waits for ever.

Needs psycopg, as `postgres_pool` does.
"""

from __future__ import annotations

import select
from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

T = TypeVar("T")
Row = tuple[Any, ...]

# A server that answers gives up a statement before; see the pool's statement_timeout.
_ANSWER_S = 4.0
_WAIT_INTERVAL_S = 0.1


def _bounded(steps: PQGen[T]) -> Generator[Any, Any, T]:
    """Run psycopg's steps, but not beyond the time within which the server has to answer."""
    deadline = monotonic() + _ANSWER_S
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and monotonic() >= deadline:
                raise OperationalError(f"the server has not answered within {_ANSWER_S:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: T = end.value
        return result


class BoundedConnection(Connection[Row]):
    """A connection that a silent server, or a network that swallows packets, cannot hold up."""

    def wait(
        self, gen: PQGen[T], interval: float = _WAIT_INTERVAL_S, *args: Any, **options: Any
    ) -> T:
        """Run one exchange with the server; a late answer closes the connection."""
        steps = _bounded(gen)
        try:
            return super().wait(steps, interval, *args, **options)
        except OperationalError:
            steps.close()
            if self.info.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def is_silent(connection: Connection[Row]) -> bool:
    """Tell whether nothing waits to be read; a connection whose server has gone has its end waiting."""
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)
