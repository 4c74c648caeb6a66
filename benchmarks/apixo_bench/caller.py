"""An asyncio caller for measures that need to see each answer: a connection that is kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence

from apixo_bench.figures import percentile
from apixo_bench.load import Request
from apixo_bench.servers import STATUS, SUBMIT, CannotRunError


class Caller:
    """One connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Caller:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def call(self, sent: bytes) -> bytes:
        """Send one call and give the answer's body.

        Raises:
            CannotRunError: It was answered anything but 200.
        """
        self._writer.write(sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise CannotRunError((head + body).decode(errors="replace")[:600])
        return body

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def submit(callback_url: str | None = None, **given: str) -> bytes:
    """Write a submit; keyword arguments are parameters of its ``input``."""
    asked: dict[str, object] = {"input": {"image_urls": ["https://example.com/input.jpg"], **given}}
    if callback_url is not None:
        asked |= {"request_type": "callback", "callback_url": callback_url}
    return Request("POST", SUBMIT, json.dumps(asked)).wire("127.0.0.1")


def poll(task_id: str) -> bytes:
    """Write a poll."""
    return Request("GET", f"{STATUS}?taskId={task_id}").wire("127.0.0.1")


def task_id(answer: bytes) -> str:
    """Read the id from the answer to a submit."""
    return str(json.loads(answer)["data"]["taskId"])


async def flood(port: int, calls: Sequence[bytes], connections: int = 16) -> list[bytes]:
    """Make the calls over some connections at once; gives the answers, in any order."""
    todo = iter(calls)

    async def work() -> list[bytes]:
        caller = await Caller.open(port)
        answers = [await caller.call(sent) for sent in todo]
        caller.close()
        return answers

    shares = await asyncio.gather(*(work() for _ in range(connections)))
    return [answer for share in shares for answer in share]


async def patience_ms(port: int, sent: bytes, over: Callable[[], bool]) -> list[float]:
    """Make a call every ms or so until it is ``over``; gives what each took in ms, in order.

    One caller that waits between its calls sees what a polling application sees.
    """
    caller = await Caller.open(port)
    took: list[float] = []
    while not over() or not took:
        began = time.perf_counter()
        await caller.call(sent)
        took.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(0.001)
    caller.close()
    return sorted(took)


def p99(ordered: Sequence[float]) -> float:
    """Give the 99th percentile."""
    return percentile(ordered, 0.99)
