"""The bundled load generator: keep-alive connections, one request under way on each.

Run: python -m apixo_bench.loader --port N [--connections 32] [--seconds 2] REQUESTS.json

Prints one line of JSON, see `apixo_bench.load.Result`. The report shows its own ceiling, measured
on a server that does nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import cast

from apixo_bench.figures import percentile
from apixo_bench.load import CONNECTIONS, Request

_OK = (b"HTTP/1.1 200", b"HTTP/1.0 200")


class Caller(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last is whole."""

    def __init__(self, requests: list[bytes], first: int, took: list[float]) -> None:
        self._requests = islice(cycle(requests), first, None)
        self._took = took
        self._read = b""
        self._began = 0.0
        self.errors = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        # No isinstance: uvloop's transports are not registered as asyncio's.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def _next(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        """Read on until the answer is whole."""
        self._read = self._read + data if self._read else data
        if not is_whole(self._read):
            return
        self._took.append(time.perf_counter() - self._began)
        self.errors += not self._read.startswith(_OK)
        self._read = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the parent's signature
        """Count an answer that will not come."""
        self.errors += 1

    def hang_up(self) -> int:
        """End; gives the count of errors before."""
        errors = self.errors
        self._transport.abort()
        return errors


def is_whole(read: bytes) -> bool:
    """Tell whether an answer has come to its end."""
    head, found, body = read.partition(b"\r\n\r\n")
    if not found:
        return False
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    _, announced, rest = lower.partition(b"\r\ncontent-length:")
    return not announced or len(body) >= int(rest.partition(b"\r\n")[0])


def _same(caller: Caller) -> Caller:
    return caller


async def load(port: int, requests: list[bytes], connections: int, seconds: float) -> str:
    """Make the load and sum it up as JSON."""
    loop = asyncio.get_running_loop()
    took: list[float] = []
    callers = [Caller(requests, first, took) for first in range(connections)]
    for caller in callers:
        await loop.create_connection(partial(_same, caller), "127.0.0.1", port)
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    spent = time.perf_counter() - began
    ordered = sorted(took)
    errors = sum(caller.hang_up() for caller in callers)
    return json.dumps(
        {
            "rps": len(ordered) / spent,
            "p50_ms": percentile(ordered, 0.5) * 1e3 if ordered else 0.0,
            "p99_ms": percentile(ordered, 0.99) * 1e3 if ordered else 0.0,
            "answers": len(ordered),
            "errors": errors,
        }
    )


def main() -> None:
    """Read the order and carry it out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("requests", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    written = [
        Request(**entry).wire(f"127.0.0.1:{given.port}")
        for entry in json.loads(given.requests.read_text("utf-8"))
    ]
    work = load(given.port, written, given.connections, given.seconds)
    try:
        import uvloop
    except ImportError:
        print(asyncio.run(work))
    else:
        print(uvloop.run(work))


if __name__ == "__main__":
    main()
