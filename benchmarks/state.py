"""What keeping state costs: submits by store, callbacks, and polls while receivers hang.

Run: .venv/bin/python benchmarks/state.py [--postgres URL] [--rounds N]

The load comes from this process, the server runs in its own; with two cores each has one. Stores
take turns in every round, so that a change of the machine's speed meets them all; read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

CONNECTIONS = 16
SUBMITS = 4000
CALLBACKS = 2000
HUNG = 1000
POLLS = 3000
KEY = "Authorization: Bearer sk-bench-0123456789\r\n"
SUBMIT_PATH = "/api/v1/generateTask/image-upscaler"


@contextmanager
def serving(*options: str) -> Iterator[int]:
    """Run an emulator in a folder of its own; gives its port."""
    command = [
        sys.executable,
        "-m",
        "apixo_emulator",
        "serve",
        "--port",
        "0",
        "--balance",
        "1000000",
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*command, *options], cwd=folder, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        try:
            assert server.stdout is not None  # noqa: S101 - asked for above
            line = server.stdout.readline()
            yield int(line.rpartition(":")[2].partition("/")[0])
        finally:
            server.terminate()
            server.wait()


def request(method: str, path: str, body: str = "") -> bytes:
    """Write one call."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{KEY}Content-Length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()


def submit(callback_url: str | None = None) -> bytes:
    """Write a submit."""
    payload: dict[str, object] = {"input": {"image_urls": ["https://example.com/input.jpg"]}}
    if callback_url is not None:
        payload |= {"request_type": "callback", "callback_url": callback_url}
    return request("POST", SUBMIT_PATH, json.dumps(payload))


class Connection:
    """One connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, sent: bytes) -> bytes:
        """Send one call and give the answer's body; anything but 200 is an error."""
        self._writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError((head + body).decode())
        return body

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


async def flood(port: int, calls: list[bytes]) -> list[float]:
    """Make the calls over some connections at once; gives each one's seconds."""
    todo, took = iter(calls), []

    async def work() -> None:
        connection = await Connection.open(port)
        for sent in todo:
            began = time.perf_counter()
            await connection.call(sent)
            took.append(time.perf_counter() - began)
        connection.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return took


async def submits_per_second(port: int) -> float:
    """Measure plain submits."""
    await flood(port, [submit()] * 200)  # warm
    began = time.perf_counter()
    await flood(port, [submit()] * SUBMITS)
    return SUBMITS / (time.perf_counter() - began)


Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def _receiver_port(server: asyncio.Server) -> Iterator[int]:
    yield server.sockets[0].getsockname()[1]


async def callbacks_per_second(port: int) -> float:
    """Measure callbacks that are due at once, to one fast receiver, after all were submitted."""
    arrived = 0
    done = asyncio.Event()
    first = 0.0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived, first
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
        first = first or time.perf_counter()
        arrived += 1
        if arrived == CALLBACKS:
            done.set()

    receiver = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    with _receiver_port(receiver) as receiver_port:
        await flood(port, [submit(f"http://127.0.0.1:{receiver_port}/")] * CALLBACKS)
        await done.wait()
    spent = time.perf_counter() - first
    receiver.close()
    return CALLBACKS / spent


async def p99_ms(port: int) -> float:
    """Measure polls of one task."""
    connection = await Connection.open(port)
    task_id = json.loads(await connection.call(submit()))["data"]["taskId"]
    connection.close()
    poll = request("GET", f"/api/v1/statusTask/image-upscaler?taskId={task_id}")
    took = await flood(port, [poll] * POLLS)
    return statistics.quantiles(took, n=100)[98] * 1000


async def p99_while_receivers_hang(port: int) -> tuple[float, float]:
    """Measure polls before, and while receivers hang: each on a port of its own."""
    quiet = await p99_ms(port)
    reached = 0
    all_reached, hang = asyncio.Event(), asyncio.Event()

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal reached
        reached += 1
        if reached == HUNG:
            all_reached.set()
        await hang.wait()
        writer.close()

    receivers = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(HUNG)]
    urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/" for server in receivers]
    await flood(port, [submit(url) for url in urls])
    await all_reached.wait()
    busy = await p99_ms(port)
    hang.set()
    for server in receivers:
        server.close()
    return quiet, busy


def spread(values: list[float]) -> str:
    """Write median and range."""
    return f"{statistics.median(values):8,.0f}   ({min(values):,.0f} to {max(values):,.0f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--postgres", metavar="URL", help="also measure this PostgreSQL database")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    stores = {
        "memory": ["--ephemeral"],
        "SQLite, process (NORMAL)": ["--durability", "process"],
        "SQLite, power (FULL)": ["--durability", "power"],
    }
    if arguments.postgres:
        stores["PostgreSQL"] = ["--store", arguments.postgres]
    rates: dict[str, list[float]] = {name: [] for name in stores}
    for _ in range(arguments.rounds):
        for name, options in stores.items():
            with serving(*options) as port:
                rates[name].append(asyncio.run(submits_per_second(port)))
    print(f"submits per second, {CONNECTIONS} connections, median of {arguments.rounds} (range)")
    base = statistics.median(rates["memory"])
    for name, values in rates.items():
        print(f"  {name:26}{spread(values)}   {statistics.median(values) / base:.2f} of memory")
    sent, quiet, busy = [], [], []
    for _ in range(arguments.rounds):
        with serving("--latency", "3000") as port:
            sent.append(asyncio.run(callbacks_per_second(port)))
        with serving("--latency", "0") as port:
            before, during = asyncio.run(p99_while_receivers_hang(port))
            quiet.append(before)
            busy.append(during)
    print(f"callbacks per second, {CALLBACKS} due at once:\n  {spread(sent)}")
    print(
        f"p99 of a poll: {statistics.median(quiet):.2f} ms, while {HUNG} receivers hang"
        f" {statistics.median(busy):.2f} ms ({min(busy):.2f} to {max(busy):.2f})"
    )


if __name__ == "__main__":
    main()
