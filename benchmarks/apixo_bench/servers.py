"""Starting a server for a measurement, and knowing when it answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apixo_bench import cores

KEY = "sk-bench-0123456789"
SUBMIT = "/api/v1/generateTask/image-upscaler"
STATUS = "/api/v1/statusTask/image-upscaler"
BODY = json.dumps(
    {
        "request_type": "async",
        "input": {
            "mode": "image-to-image",
            "image_urls": ["https://example.com/input.jpg"],
            "resolution": "4k",
            "output_format": "jpg",
        },
    }
)
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
_PATIENCE_S = 60.0


class CannotRunError(Exception):
    """A server is not there or does not start; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Whose emulator is measured: the environment's, or that of a source tree."""

    name: str = "emulator"
    path: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables of its processes. Bytecode is kept, as an installed package's is."""
        variables = {**os.environ, "PYTHONPYCACHEPREFIX": str(_bytecode())}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        roots = [Path(__file__).parents[1]]  # the probes
        if self.path is not None:
            roots += [self.path / root for root in ("emulator", "schemas", "client")]
        variables["PYTHONPATH"] = os.pathsep.join(map(str, roots))
        return variables


def _bytecode() -> Path:
    return Path(tempfile.gettempdir()) / "apixo-bench-bytecode"


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started; ``{port}`` and ``{folder}`` are filled in."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cores: frozenset[int] = cores.SERVER


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    port: int
    pid: int
    folder: Path

    def freeze(self) -> None:
        """Stop it with all its processes for a while: an idle server is not always idle."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGCONT)

    def call(self, method: str, path: str, body: str | None = None) -> Any:
        """Make one call and give the JSON of its answer.

        Raises:
            CannotRunError: It answered anything but 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request(method, path, body, HEADERS)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise CannotRunError(f"{method} {path} was answered {answer.status}: {content[:200]!r}")
        return json.loads(content)

    def submit(self, body: str = BODY) -> str:
        """Submit a task and give its id."""
        return str(self.call("POST", SUBMIT, body)["data"]["taskId"])

    def cpu_s(self) -> float:
        """Give the processor time that it has used so far with all its processes, in s."""
        ticks = sum(
            int(fields[11]) + int(fields[12])
            for fields in map(_stat, Path("/proc").glob("[0-9]*"))
            if fields and int(fields[2]) == self.pid
        )
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        """Give the memory that the process holds now, in MiB."""
        return _status_kib(self.pid, "VmRSS") / 1024

    def peak_mib(self) -> float:
        """Give the most memory that the process ever held, in MiB."""
        return _status_kib(self.pid, "VmHWM") / 1024


def _stat(process: Path) -> list[str]:
    """Read what Linux tells of a process, from its state on; its name may hold anything."""
    try:
        return (process / "stat").read_text("latin-1").rpartition(")")[2].split()
    except OSError:  # it has ended
        return []


def _status_kib(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise CannotRunError(f"/proc/{pid}/status has no {name}")


def emulator(checkout: Checkout, *options: str) -> Command:
    """Start the emulator with its default settings, and money enough for the load."""
    arguments = ("-m", "apixo_emulator", "serve", "--port", "{port}", "--data", "{folder}/data")
    return Command(
        (sys.executable, *arguments, "--balance", "1000000000", *options), checkout.environment
    )


@contextmanager
def running(command: Command, folder: Path | None = None) -> Iterator[Running]:
    """Run a server; it is asked to end, then made to.

    Raises:
        CannotRunError: It ends or says nothing for a minute.
    """
    with tempfile.TemporaryDirectory(prefix="apixo-bench-") as made:
        place = folder or Path(made)
        port = free_port()
        arguments = [part.format(port=port, folder=place) for part in command.arguments]
        log = (Path(made) / "log").open("w+b")
        with cores.on(command.cores):
            process = subprocess.Popen(
                arguments,
                env=dict(command.environment),
                stdout=log,
                stderr=log,
                cwd=made,
                start_new_session=True,  # a group of its own, to be frozen as one
            )
        server = Running(port, process.pid, place)
        try:
            wait_until(lambda: _answers(port), process, log.name)
            yield server
        finally:
            server.thaw()  # one that is frozen would never end
            _end(process)
            log.close()


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: str) -> None:
    """Wait for a server that has just been started.

    Raises:
        CannotRunError: It ends first, or takes a minute.
    """
    until = time.monotonic() + _PATIENCE_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            said = Path(log).read_text("utf-8", "replace")[-600:]
            raise CannotRunError(f"{process.args!r} did not come up: {said.strip() or 'no word'}")
        time.sleep(0.02)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", STATUS + "?taskId=0", headers=HEADERS)
        return connection.getresponse().status < 600  # noqa: PLR2004 - whatever it is
    except OSError:
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
