"""The ways to run the emulator: its own server, other ASGI servers, and no server at all."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount
from support.process import environment, running

from apixo_emulator import create_app

KEY = "sk-test-0123456789abcd"
HEADERS = {"Authorization": f"Bearer {KEY}"}
PREFIX = "/tools/emulator"
_END_S = 30
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


class Call(Protocol):
    """Makes one request; ``path`` is relative to the emulator's base URL."""

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response: ...


@dataclass(frozen=True)
class Target:
    """A running emulator. ``lives`` tells whether its lifespan runs."""

    base_url: str
    call: Call
    lives: bool = True

    def submit(self, url: str = "https://example.com/input.jpg", **more: Any) -> httpx.Response:
        body = {"input": {"image_urls": [url]}, **more}
        return self.call("POST", "/api/v1/generateTask/image-upscaler", json=body)

    def status(self, task_id: str) -> httpx.Response:
        return self.call("GET", f"/api/v1/statusTask/image-upscaler?taskId={task_id}")


def _over_http(base_url: str, client: httpx.Client) -> Target:
    def call(method: str, path: str, **options: Any) -> httpx.Response:
        url = path if path.startswith("http") else base_url + path
        return client.request(method, url, **{"headers": HEADERS, **options})

    return Target(base_url, call)


@contextmanager
def serve(folder: Path) -> Iterator[Target]:
    options = ("--ephemeral", "--latency", "0", "--callback-retries", "0.1")
    with running(*options, cwd=folder) as server, httpx.Client(timeout=_END_S) as client:
        yield _over_http(server.origin, client)


@contextmanager
def _process(folder: Path, *command: str) -> Iterator[Target]:
    """Run an ASGI server with its default settings; it prints its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=environment(APIXO_EMULATOR_EPHEMERAL="yes", APIXO_EMULATOR_LATENCY="0"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        seen = ""
        while not (found := _ADDRESS.search(seen)):
            line = process.stderr.readline()
            assert line, seen
            seen += line
        with httpx.Client(timeout=_END_S) as client:
            yield _over_http(found[0], client)
    finally:
        process.terminate()
        process.communicate(timeout=_END_S)


def uvicorn(folder: Path) -> AbstractContextManager[Target]:
    return _process(folder, "uvicorn", "apixo_emulator.asgi:app", "--port", "0")


def hypercorn(folder: Path) -> AbstractContextManager[Target]:
    return _process(folder, "hypercorn", "apixo_emulator.asgi:app", "--bind", "127.0.0.1:0")


def _in_process(app: Any, prefix: str) -> Target:
    base_url = f"http://127.0.0.1:8787{prefix}"

    async def send(method: str, url: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, url, **{"headers": HEADERS, **options})

    def call(method: str, path: str, **options: Any) -> httpx.Response:
        url = path if path.startswith("http") else base_url + path
        return asyncio.run(send(method, url, options))  # an event loop each

    return Target(base_url, call, lives=False)


@contextmanager
def in_process(**options: Any) -> Iterator[Target]:
    app = create_app(ephemeral=True, latency=0, **options)
    yield _in_process(app, "")
    app.state.runtime.close()


def asgi_transport(folder: Path) -> AbstractContextManager[Target]:
    assert folder
    return in_process()


@contextmanager
def mounted(folder: Path) -> Iterator[Target]:
    assert folder
    app = create_app(ephemeral=True, latency=0)
    yield _in_process(Starlette(routes=[Mount(PREFIX, app)]), PREFIX)
    app.state.runtime.close()


IN_PROCESS: tuple[Callable[[Path], AbstractContextManager[Target]], ...] = (asgi_transport, mounted)
PROCESSES: tuple[Callable[[Path], AbstractContextManager[Target]], ...] = (
    serve,
    uvicorn,
    hypercorn,
)
