"""What users feel: the start, memory, many callbacks at once, and many pictures at once."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, create_subprocess_exec
from contextlib import suppress
from pathlib import Path
from typing import Self

from apixo_bench.figures import Figure, p99
from apixo_bench.load import Connection, Request, flood, poll_until, submits
from apixo_bench.servers import BOTH_CORES, LOAD_CORE, Running, emulator, on, running

_QUIET_S = 2.0
_LOST_S = 120.0
_FORMATS = ("jpg", "png", "webp", "jpg")


# The start


def start(rounds: int) -> list[Figure]:
    """Measure from exec to the ready line in an empty folder, and the memory held then."""
    found = [_started() for _ in range(3 * rounds + 1)][1:]  # the first compiles
    return [
        Figure("ready from exec", "ms", tuple(ms for ms, _ in found), most=300),
        Figure("memory when ready", "MiB", tuple(mib for _, mib in found), most=50),
    ]


def _started() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as folder:
        command = [sys.executable, "-m", "apixo_emulator", "serve", "--port", "0"]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=PIPE, text=True, env=_cached())
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            assert process.stdout.readline().startswith("apixo-emulator ready")  # noqa: S101 - else it is no figure
            ms = (time.perf_counter() - began) * 1e3
            return ms, Running(0, process.pid).memory_mib()
        finally:
            process.terminate()
            process.communicate()


def _cached() -> dict[str, str]:
    """Return the environment with bytecode kept, as an installed package's is."""
    cache = Path(tempfile.gettempdir()) / "apixo-bench-bytecode"
    variables = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables


# Callbacks


def callbacks(rounds: int, count: int) -> list[Figure]:
    """Make many callbacks come due at once, to one receiver that answers at once."""
    with on(LOAD_CORE):
        found = [asyncio.run(_burst(count)) for _ in range(min(rounds, 2))]
    lost = sum(count - arrived for _, arrived, _, _ in found)
    slower = tuple(busy / quiet for _, _, quiet, busy in found)
    return [
        Figure(
            f"{count:,} callbacks due at once, sent within",
            "s",
            tuple(seconds for seconds, _, _, _ in found),
            most=10,
            note=f"{lost} MISSING" if lost else "",
        ),
        _slower(slower, found[-1][2:]),
    ]


def _slower(ratio: tuple[float, ...], last: tuple[float, float]) -> Figure:
    note = f"{last[0]:.2f} ms before, {last[1]:.2f} ms meanwhile"
    return Figure("p99 of a poll meanwhile, to that before", "x", ratio, most=5, note=note)


async def _burst(count: int) -> tuple[float, int, float, float]:
    """Return the seconds of a burst, how many arrived, and polls' p99 in ms before and meanwhile."""
    latency_s = max(4.0, count / 1000)
    async with Receiver() as receiver:
        with running(emulator("--latency", str(round(latency_s * 1000)))) as server:
            began = time.perf_counter()
            ids = await flood(server.port, submits(receiver.url) * count)
            soon = began + latency_s * 0.9
            quiet = await poll_until(server.port, ids[-1], lambda: time.perf_counter() > soon)

            def late() -> bool:
                return time.perf_counter() > began + _LOST_S

            await poll_until(server.port, ids[-1], lambda: receiver.arrived > 0 or late())
            busy = await poll_until(
                server.port, ids[-1], lambda: receiver.arrived >= count or late()
            )
            return receiver.seconds, receiver.arrived, p99(quiet), p99(busy)


class Receiver:
    """A receiver in a process of its own, which answers 200 at once and counts."""

    arrived = 0
    seconds = 0.0

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "apixo_bench.behaviour")
        self._process = await create_subprocess_exec(*command, stdout=PIPE)
        await self._read()
        self._reading = asyncio.create_task(self._keep_reading())
        return self

    async def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        news = json.loads(await self._process.stdout.readline())
        self.url, self.arrived, self.seconds = news

    async def _keep_reading(self) -> None:
        while True:
            await self._read()

    async def __aexit__(self, *exc_info: object) -> None:
        self._reading.cancel()
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.wait()


async def _receive() -> None:
    """Receive callbacks, and print the URL, their count and the seconds since the first."""
    arrived, first, last = 0, 0.0, 0.0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived, first, last
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                last = time.perf_counter()
                first = first or last
                arrived += 1
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2048)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    while True:
        print(json.dumps([url, arrived, last - first]), flush=True)
        await asyncio.sleep(0.02)


# Pictures


def pictures(rounds: int) -> list[Figure]:
    """Request four 8k results at once; measure the server's memory and the polls beside it."""
    found = []
    for _ in range(min(rounds, 3)):
        with running(emulator("--latency", "0"), cores=BOTH_CORES) as server:
            found.append(asyncio.run(_render(server)))
    peaks, seconds, quiet, busy = zip(*found, strict=True)
    slower = tuple(one / other for one, other in zip(busy, quiet, strict=True))
    return [
        Figure("4 x 8k at once, peak memory of the server", "MiB", peaks, most=400),
        Figure("4 x 8k at once, until the last is there", "s", seconds),
        Figure("p99 of a poll meanwhile, to that before", "x", slower),
    ]


async def _render(server: Running) -> tuple[float, float, float, float]:
    """Return the peak in MiB, the seconds, and polls' p99 in ms before and meanwhile."""
    requests = [submits(resolution="8k", output_format=name)[0] for name in _FORMATS]
    ids = [(await flood(server.port, [request], 1))[0] for request in requests]
    soon = time.perf_counter() + _QUIET_S
    quiet = await poll_until(server.port, ids[0], lambda: time.perf_counter() > soon)
    began = time.perf_counter()
    fetches = (_fetch(server.port, *one) for one in zip(ids, _FORMATS, strict=True))
    rendering = asyncio.gather(*fetches)
    busy = await poll_until(server.port, ids[0], rendering.done)
    spent = time.perf_counter() - began
    await rendering
    return server.memory_mib("VmHWM"), spent, p99(quiet), p99(busy)


async def _fetch(port: int, task_id: str, output_format: str) -> None:
    connection = await Connection.open(port)
    await connection.call(Request("GET", f"/files/{task_id}.{output_format}").wire())
    connection.close()


if __name__ == "__main__":
    asyncio.run(_receive())
