"""A real emulator process, started as a user starts it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

AUTH = {"Authorization": "Bearer sk-test-0123456789abcd"}
_END_S = 30


@dataclass
class Running:
    process: subprocess.Popen[str]
    base_url: str

    @property
    def origin(self) -> str:
        return self.base_url.removesuffix("/api/v1")

    def dial(self) -> socket.socket:
        """Connect to it; each piece that is sent leaves at once."""
        host, _, port = self.origin.removeprefix("http://").rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=_END_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def submit(
        self,
        url: str = "https://example.com/input.jpg",
        *,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Submit a task; ``more`` stands beside its ``input``."""
        body = {"input": {"image_urls": [url]}, **more}
        path = f"{self.base_url}/generateTask/image-upscaler"
        return httpx.post(path, json=body, headers={**AUTH, **(headers or {})})

    def submitted(self, url: str = "https://example.com/input.jpg", **more: Any) -> str:
        """Submit a task and return its id."""
        answer = self.submit(url, **more)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["data"]["taskId"])

    def status(self, task_id: str) -> httpx.Response:
        path = f"{self.base_url}/statusTask/image-upscaler"
        return httpx.get(path, params={"taskId": task_id}, headers=AUTH)

    def stop(self) -> tuple[int, str, str]:
        """End it with SIGTERM; give its exit code and what it still printed."""
        self.process.terminate()
        out, err = self.process.communicate(timeout=_END_S)
        return self.process.returncode, out, err


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "apixo_emulator", *arguments]


def environment(**more: str) -> dict[str, str]:
    # The user's own settings, and those of the `make` that may run the tests.
    foreign = ("APIXO_", "MAKE", "MFLAGS")
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "PORT" and not name.startswith(foreign)
    }
    return {**inherited, **more}


@contextmanager
def running(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Iterator[Running]:
    process = subprocess.Popen(
        command("serve", "--port", "0", *arguments),
        cwd=cwd,
        env=environment() if env is None else env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("apixo-emulator ready: "):
            raise AssertionError(f"no ready line: {line!r} {process.communicate(timeout=_END_S)}")
        yield Running(process, line.removeprefix("apixo-emulator ready: ").strip())
    finally:
        # Asked first, since what is killed leaves its temporary folder behind.
        process.terminate()
        try:
            process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate(timeout=_END_S)
            raise


def children(pid: int) -> list[int]:
    """The worker processes of a server: its children that multiprocessing has spawned."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found if b"spawn_main" in _command_line(child)]


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
