"""Emulator processes that are made to die, and started again on the same data and port."""

from __future__ import annotations

import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.process import command, environment

READY = "apixo-emulator ready: "
_END_S = 60


def steady_port() -> int:
    """A free port below those that systems give to outgoing connections, so that it stays free."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def launch(arguments: list[str], *, cwd: Path) -> subprocess.Popen[str]:
    with (cwd / "stderr.txt").open("a") as errors:
        return subprocess.Popen(
            arguments,
            cwd=cwd,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )


def until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith(READY), f"no ready line: {line!r}, exit code {process.wait(_END_S)}"


def end(process: subprocess.Popen[str]) -> None:
    """Kill it; what it printed is dropped."""
    process.kill()
    process.communicate(timeout=_END_S)


@contextmanager
def serving(
    *arguments: str, cwd: Path, program: list[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A server that answers; ``program`` stands for the ordinary command."""
    head = command("serve") if program is None else program
    process = launch([*head, *arguments], cwd=cwd)
    try:
        until_ready(process)
        yield process
    finally:
        end(process)
