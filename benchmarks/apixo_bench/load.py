"""Load on a server: by wrk where it is installed, else by connections of this program.

Run as a program it is the second of them: python -m apixo_bench.load ORDER (JSON)
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from apixo_bench.figures import p99
from apixo_bench.servers import BODY, HEADERS, LOAD_CORE, STATUS, SUBMIT, CannotRunError, on

CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the load."""

    method: str
    path: str
    body: str = ""

    def wire(self, host: str = "127.0.0.1") -> bytes:
        """Write it as HTTP/1.1."""
        headers = {"Host": host, **HEADERS}
        if self.body:
            headers["Content-Length"] = str(len(self.body.encode()))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{lines}\r\n{self.body}".encode()


def polls(task_ids: Sequence[str]) -> list[Request]:
    """Poll these tasks in turn."""
    return [Request("GET", f"{STATUS}?taskId={task_id}") for task_id in task_ids]


def submits(callback_url: str | None = None, **given: str) -> list[Request]:
    """Submit one body; keyword arguments are parameters of its ``input``."""
    body = json.loads(BODY)
    body["input"] |= given
    if callback_url is not None:
        body |= {"request_type": "callback", "callback_url": callback_url}
    return [Request("POST", SUBMIT, json.dumps(body))]


@dataclass(frozen=True, slots=True)
class Result:
    """What a load came to: answers a second, their times in ms, and those that were no 200."""

    rps: float
    p50_ms: float
    p99_ms: float
    answers: int
    errors: int


# Requests are written once, before the load: what is left of wrk's script is a table's next entry.
_SCRIPT = """
local asked = {requests}
local written, next = {{}}, 0
init = function()
  for i, r in ipairs(asked) do written[i] = wrk.format(r[1], r[2], {headers}, r[3]) end
end
request = function() next = next % #written + 1; return written[next] end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{{"rps": %f, "p50_ms": %f, "p99_ms": %f, "answers": %d, "errors": %d}}',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def run(
    port: int, requests: Sequence[Request], *, seconds: float, connections: int = CONNECTIONS
) -> Result:
    """Load a server on this machine from the load's core.

    Raises:
        CannotRunError: The generator failed, or got no answer at all.
    """
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as folder, on(LOAD_CORE):
        if shutil.which("wrk"):
            script = Path(folder) / "load.lua"
            script.write_text(_script(requests), "utf-8")
            options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
            command = ["wrk", *options, f"http://127.0.0.1:{port}/"]
        else:
            asked = [(one.method, one.path, one.body) for one in requests]
            order = json.dumps([port, connections, seconds, asked])
            command = [sys.executable, "-m", "apixo_bench.load", order]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        result = Result(**json.loads(done.stdout.strip().rpartition("\n")[2]))
    except (ValueError, TypeError) as error:
        raise CannotRunError(f"the load failed: {done.stdout}{done.stderr}"[-600:]) from error
    if not result.answers:
        raise CannotRunError("the load got no answer")
    return result


def _script(requests: Sequence[Request]) -> str:
    asked = ", ".join(
        "{" + ", ".join(json.dumps(part) if part else "nil" for part in parts) + "}"
        for parts in ((one.method, one.path, one.body) for one in requests)
    )
    headers = ", ".join(f"[{json.dumps(n)}]={json.dumps(v)}" for n, v in HEADERS.items())
    return _SCRIPT.format(requests=f"{{{asked}}}", headers=f"{{{headers}}}")


class Connection:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, request: bytes) -> tuple[bool, bytes]:
        """Make one call; return whether it was answered 200, and the body."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        return head.startswith(b"HTTP/1.1 200"), await self._reader.readexactly(length)

    def close(self) -> None:
        """Close it."""
        self._writer.close()


async def flood(port: int, requests: Sequence[Request], connections: int = 16) -> list[str]:
    """Submit tasks over some connections at once; return their ids, in any order.

    Raises:
        CannotRunError: One was not answered 200.
    """
    left = iter(requests)

    async def work() -> list[str]:
        connection = await Connection.open(port)
        ids = []
        for request in left:
            good, body = await connection.call(request.wire())
            if not good:
                raise CannotRunError(body.decode(errors="replace")[:600])
            ids.append(str(json.loads(body)["data"]["taskId"]))
        connection.close()
        return ids

    return [
        one for ids in await asyncio.gather(*(work() for _ in range(connections))) for one in ids
    ]


async def poll_until(port: int, task_id: str, over: Callable[[], bool]) -> list[float]:
    """Poll a task every ms or so until it is ``over``; return what each poll took in ms.

    One client that waits between its calls sees what a polling application sees.
    """
    connection = await Connection.open(port)
    request = polls([task_id])[0].wire()
    took: list[float] = []
    while not over() or not took:
        began = time.perf_counter()
        await connection.call(request)
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(0.001)
    connection.close()
    return took


async def _generate(port: int, connections: int, seconds: float, asked: list[Any]) -> Result:
    requests = [Request(*parts).wire(f"127.0.0.1:{port}") for parts in asked]
    until = time.perf_counter() + seconds
    took: list[float] = []
    errors = 0

    async def work(first: int) -> None:
        nonlocal errors
        connection = await Connection.open(port)
        for request in islice(cycle(requests), first, None):
            began = time.perf_counter()
            if began > until:
                break
            good, _ = await connection.call(request)
            took.append((time.perf_counter() - began) * 1e3)
            errors += not good
        connection.close()

    await asyncio.gather(*(work(first) for first in range(connections)))
    middle = sorted(took)[len(took) // 2] if took else 0.0
    slow = p99(took) if took else 0.0
    return Result(len(took) / seconds, middle, slow, len(took), errors)


if __name__ == "__main__":
    found = asyncio.run(_generate(*json.loads(sys.argv[1])))
    print(json.dumps({name: getattr(found, name) for name in Result.__slots__}))
