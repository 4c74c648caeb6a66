"""A small HTTP server of the API, written from the documentation alone.

It shares no code with the emulator: no class, no schema, no message. It runs on a thread of its
own, in real time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from gauntlet.conduct import PREFIX, Conduct, Task
from gauntlet.wire import HEAD_LIMIT, encode, read_request, written


class Server:
    """One conduct behind a port of this machine."""

    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct
        self._background: set[asyncio.Task[None]] = set()
        self._called: set[str] = set()
        self._connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(
            self._connection, "127.0.0.1", 0, limit=HEAD_LIMIT, backlog=200
        )
        port = server.sockets[0].getsockname()[1]
        self._conduct.bound_origin = f"http://127.0.0.1:{port}"
        return server

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        style = self._conduct.style
        running = asyncio.current_task()
        assert running is not None
        self._connections[running] = writer
        answers = 0
        try:
            while request := await self._request(reader, writer):
                reply = self._conduct.handle(request)
                self._schedule_callbacks()
                if style.latency_s:
                    await asyncio.sleep(style.latency_s)
                writer.write(written(reply, style, head_only=request.method == "HEAD"))
                await writer.drain()
                closing = request.headers.get("connection", "").lower() == "close"
                answers += 1
                full = answers == style.ends_after
                if closing or full or not style.keep_alive or style.version == "HTTP/1.0":
                    break
        except ConnectionError:
            pass  # the caller has hung up
        finally:
            del self._connections[running]
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
        try:
            return await read_request(reader, self._conduct.bound_origin)
        except (ValueError, asyncio.IncompleteReadError):
            reply = self._conduct.error(400, "that is not HTTP", "http")
            writer.write(written(reply, self._conduct.style))
            return None

    def _schedule_callbacks(self) -> None:
        for task in list(self._conduct.tasks.values()):
            if task.callback_url and task.id not in self._called:
                self._called.add(task.id)
                for moment in self._conduct.callback_moments(task):
                    self._run(self._deliver(task, task.callback_url, moment))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        running = asyncio.get_running_loop().create_task(work)
        self._background.add(running)
        running.add_done_callback(self._background.discard)

    async def _deliver(self, task: Task, url: str, moment: float) -> None:
        conduct = self._conduct
        # A millisecond more: the payload must show the state that is due.
        await asyncio.sleep(max(0.0, moment - conduct.now()) + 0.002)
        for delay in (*conduct.retry_delays_s, None):
            status = await self._attempt(url, task)
            if delay is None or not conduct.callback_retry(status):
                return
            await asyncio.sleep(delay)

    async def _attempt(self, url: str, task: Task) -> int | None:
        conduct = self._conduct
        # It calls receivers of the kit on this machine, and no address elsewhere.
        if not url.startswith("http:"):
            return None
        reply = conduct.callback_payload(task)
        content = encode(reply.body, conduct.style) if reply.raw is None else reply.raw
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=30) as client:  # noqa: S501 - plain HTTP
            try:
                answer = await client.request(
                    conduct.callback_method(),
                    url,
                    content=content,
                    headers={"content-type": reply.media_type},
                )
            except httpx.TransportError:
                return None
        return answer.status_code

    async def stop(self) -> None:
        for running in self._background:
            running.cancel()
        connections = list(self._connections)
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*self._background, *connections, return_exceptions=True)


@contextmanager
def serving(conduct: Conduct) -> Iterator[str]:
    """Serve a conduct on a free port; give the base URL of its API."""
    loop = asyncio.new_event_loop()
    server = Server(conduct)
    listener = loop.run_until_complete(server.start())
    thread = threading.Thread(target=loop.run_forever, name="gauntlet")
    thread.start()
    try:
        yield conduct.bound_origin + PREFIX
    finally:
        asyncio.run_coroutine_threadsafe(_end(server, listener), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end(server: Server, listener: asyncio.Server) -> None:
    listener.close()
    await server.stop()
