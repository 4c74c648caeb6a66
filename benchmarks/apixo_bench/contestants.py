"""Who is measured: the limit, the emulator, and what people use instead."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from apixo_bench import cores, node
from apixo_bench.servers import CannotRunError, Checkout, Command, emulator

PEERS = Path(__file__).parent.parent / "peers"
LIMIT = "raw ASGI callable"
FASTAPI = "FastAPI mock by hand"
# The tuned uvicorn: what it has that is fast, nothing written for a call.
_UVICORN = (
    *("--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "error"),
    *("--no-server-header", "--no-proxy-headers", "--lifespan", "off", "--host", "127.0.0.1"),
)


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server of the table.

    ``command`` writes what it needs into the folder it is given, and raises `CannotRunError` where
    it is not installed. ``submits`` is False for one that cannot take a task. The load polls
    ``task_id``; where that is None, tasks that were submitted before.
    """

    name: str
    command: Callable[[Path], Command]
    task_id: str | None = "0123456789abcdef0123456789abcdef"
    submits: bool = True
    note: str = ""


def all_of(checkouts: list[Checkout]) -> list[Contestant]:
    """Give the whole table, the limit first."""
    return [limit(), *(measured(checkout) for checkout in checkouts), *peers()]


def limit() -> Contestant:
    """Give the practical limit of Python's usual server."""
    return Contestant(LIMIT, _uvicorn("raw_asgi:app"), note="uvicorn, httptools, uvloop")


def measured(checkout: Checkout) -> Contestant:
    """Give the emulator, as anybody starts it."""
    note = "one process, default settings: SQLite file, journal"
    return Contestant(checkout.name, lambda _folder: emulator(checkout), None, note=note)


def peers() -> list[Contestant]:
    """Give what people use instead."""
    return [
        Contestant("Starlette, prepared response", _uvicorn("starlette_route:app", "starlette")),
        Contestant("Starlette + msgspec", _uvicorn("starlette_msgspec:app", "msgspec"), None),
        Contestant(FASTAPI, _uvicorn("fastapi_mock:app", "fastapi"), None, note="what users write"),
        Contestant("Flask", _script("flask_mock.py", "flask"), None, note="its own server"),
        Contestant("pytest-httpserver", _script("httpserver_mock.py", "pytest_httpserver")),
        Contestant("Prism", node.prism, note="from the OpenAPI document, silent"),
        Contestant("Mockoon CLI", node.mockoon, note="static answers"),
        Contestant("mountebank", node.mountebank, note="static answers"),
        Contestant("json-server", node.json_server, submits=False, note="a POST rewrites its file"),
        Contestant("WireMock", _wiremock, note="static answers, both cores, warm"),
    ]


def _uvicorn(app: str, needs: str = "uvicorn") -> Callable[[Path], Command]:
    def command(_folder: Path) -> Command:
        _must_have(needs)
        directory = ("--app-dir", str(PEERS))
        return Command(
            (sys.executable, "-m", "uvicorn", app, "--port", "{port}", *directory, *_UVICORN)
        )

    return command


def _script(name: str, needs: str) -> Callable[[Path], Command]:
    def command(_folder: Path) -> Command:
        _must_have(needs)
        return Command((sys.executable, str(PEERS / name), "{port}"))

    return command


def _must_have(module: str) -> None:
    if find_spec(module) is None:
        raise CannotRunError(f"not installed: pip install {module.replace('_', '-')}")


def _wiremock(folder: Path) -> Command:
    java = shutil.which("java")
    if java is None:
        raise CannotRunError("no java on the PATH")
    jar = node.file("wiremock", "build", "*.jar")
    node.write_wiremock(folder)
    quiet = ("--no-request-journal", "--disable-request-logging", "--disable-banner")
    options = ("--port", "{port}", "--bind-address", "127.0.0.1", "--root-dir", str(folder))
    return Command((java, "-jar", str(jar), *options, *quiet), cores=cores.BOTH)
