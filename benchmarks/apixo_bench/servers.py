"""The servers that are measured: how each is started, and what it uses of processor and memory."""

from __future__ import annotations

import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEY = "sk-bench-0123456789"
SUBMIT = "/api/v1/generateTask/image-upscaler"
STATUS = "/api/v1/statusTask/image-upscaler"
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
# The page's own example.
BODY = (
    '{"request_type": "async", "input": {"mode": "image-to-image", "image_urls":'
    ' ["https://example.com/input.jpg"], "resolution": "4k", "output_format": "jpg"}}'
)
PEERS = Path(__file__).parent.parent / "peers"
_TIMEOUT_S = 60.0
_USABLE = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
# The server has one core, the load another, so that neither takes the other's time.
SERVER_CORE, LOAD_CORE = frozenset(_USABLE[:1]), frozenset(_USABLE[-1:])
BOTH_CORES = SERVER_CORE | LOAD_CORE
# What is fast in uvicorn, and nothing that is written for each request.
_TUNED = (
    *("--http", "httptools", "--loop", "uvloop", "--no-access-log", "--log-level", "error"),
    *("--no-server-header", "--no-proxy-headers", "--host", "127.0.0.1", "--port", "{port}"),
)


class CannotRunError(Exception):
    """A server is not there or does not start; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is started; ``{port}`` and ``{folder}`` are filled in.

    Without a ``task_id`` the load polls tasks that were submitted before.
    """

    name: str
    arguments: tuple[str, ...]
    task_id: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


LIMIT = Server(
    "raw ASGI callable",
    ("-m", "uvicorn", "raw_asgi:app", "--app-dir", str(PEERS), "--lifespan", "off", *_TUNED),
    task_id="0123456789abcdef0123456789abcdef",
    note="uvicorn, httptools, uvloop",
)
STARLETTE = Server(
    "Starlette, prepared response",
    ("-m", "uvicorn", "starlette_route:app", "--app-dir", str(PEERS), *_TUNED),
    task_id="0123456789abcdef0123456789abcdef",
)
FASTAPI = Server(
    "FastAPI mock by hand",
    ("-m", "uvicorn", "fastapi_mock:app", "--app-dir", str(PEERS), *_TUNED),
    note="what users write",
)
FLASK = Server(
    "Flask mock by hand", (str(PEERS / "flask_mock.py"), "{port}"), note="its own server"
)
HTTPSERVER = Server(
    "pytest-httpserver",
    (str(PEERS / "httpserver_mock.py"), "{port}"),
    task_id="0123456789abcdef0123456789abcdef",
)


def emulator(*options: str, name: str = "emulator") -> Server:
    """Return the emulator with its default settings, and money enough for the load."""
    arguments = ("-m", "apixo_emulator", "serve", "--port", "{port}", "--data", "{folder}/data")
    return Server(name, (*arguments, "--balance", "1000000000", *options))


APPLICATION = Server(
    "emulator, any ASGI server",
    ("-m", "uvicorn", "apixo_emulator.asgi:app", *_TUNED),
    environment={
        "APIXO_EMULATOR_DATA": "{folder}/data",
        "APIXO_EMULATOR_BALANCE": "1000000000",
    },
    note="uvicorn apixo_emulator.asgi:app",
)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    pid: int

    def freeze(self) -> None:
        """Stop it with all its processes for a while: an idle server is not always idle."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume it."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)

    def call(self, method: str, path: str, body: str | None = None) -> Any:
        """Make one call and return the JSON of its answer.

        Raises:
            CannotRunError: It answered anything but 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, body, HEADERS)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise CannotRunError(f"{method} {path} was answered {answer.status}: {content[:200]!r}")
        return json.loads(content)

    def succeeded(self, count: int) -> list[str]:
        """Submit tasks and wait until the last has succeeded; return their ids."""
        ids = [str(self.call("POST", SUBMIT, BODY)["data"]["taskId"]) for _ in range(count)]
        while self.call("GET", f"{STATUS}?taskId={ids[-1]}")["data"]["state"] != "success":
            time.sleep(0.05)
        return ids

    def cpu_s(self) -> float:
        """Return the processor time that it has used so far with all its processes, in s."""
        ticks = sum(
            int(fields[11]) + int(fields[12])
            for fields in map(_stat, Path("/proc").glob("[0-9]*"))
            if fields and int(fields[2]) == self.pid
        )
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, name: str = "VmRSS") -> float:
        """Return the memory that the process holds now; as ``VmHWM`` the most it ever held."""
        lines = Path(f"/proc/{self.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _stat(process: Path) -> list[str]:
    """Return the fields of a process in /proc, from its state on; its name may hold anything."""
    try:
        return (process / "stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:  # it has ended
        return []


@contextmanager
def running(
    server: Server, *, cores: frozenset[int] = SERVER_CORE, folder: Path | None = None
) -> Iterator[Running]:
    """Run a server; at the end it is asked to stop, then made to.

    Raises:
        CannotRunError: It ends or says nothing for a minute.
    """
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as made:
        port = _free_port()
        places = {"port": port, "folder": folder or made}
        more = {name: value.format(**places) for name, value in server.environment.items()}
        with (Path(made) / "log").open("w+b") as log, on(cores):
            process = subprocess.Popen(
                [sys.executable, *(part.format(**places) for part in server.arguments)],
                env={**os.environ, **more},
                stdout=log,
                stderr=log,
                cwd=made,
                start_new_session=True,  # a group of its own, to be frozen as one
            )
        found = Running(port, process.pid)
        try:
            _wait_until_it_answers(port, process, Path(log.name))
            yield found
        finally:
            found.thaw()  # one that is frozen would never end
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_it_answers(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _TIMEOUT_S
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text("utf-8", "replace")[-600:]
            raise CannotRunError(f"{process.args!r} did not come up: {said.strip() or 'no word'}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", STATUS + "?taskId=0", headers=HEADERS)
        return bool(connection.getresponse().status)
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """Run on these cores, and start processes on them, which inherit it from here."""
    if len(_USABLE) < len(BOTH_CORES) or not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def machine() -> dict[str, str]:
    """Describe what the figures were measured on."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text("utf-8").splitlines() if cpus.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": f"{len(_USABLE) or os.cpu_count()} x {names[0] if names else platform.processor()}",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load average before": f"{os.getloadavg()[0]:.2f}",
    }
