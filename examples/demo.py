"""One picture upscaled, one request refused, one task failed; ends by itself with 0.

Starts an emulator on a free port and a file server for the source picture, both on loopback.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from apixo_client import Apixo, BadRequestError, Pace, SensitiveContentError

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "tests" / "data" / "rocket.jpg"
OUT = ROOT / "out"
KEY = "sk-demo-0123456789"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing; the demo speaks."""


@contextmanager
def file_server(folder: Path) -> Iterator[str]:
    """Serve a folder on a free port; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def emulator() -> Iterator[str]:
    """Run an emulator that keeps nothing; gives the API's base URL."""
    command = [sys.executable, "-m", "apixo_emulator", "serve", "--port", "0", "--ephemeral"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            line = process.stdout.readline().strip()
            print(line)
            yield line.rpartition(" ")[2]
        finally:
            process.terminate()


def main() -> None:
    """Run the demo."""
    OUT.mkdir(exist_ok=True)
    with (
        emulator() as base_url,
        file_server(PICTURE.parent) as files,
        # The documented pace, first poll after 10 s, would be too slow for an emulator.
        Apixo(KEY, base_url, pace=Pace.every(0.2)) as apixo,
    ):
        print("\n1. A picture in 4k")
        result = apixo.upscale(
            f"{files}/{PICTURE.name}",
            resolution="4k",
            on_progress=lambda task: print("  ", task.state, end="", flush=True),
        )
        print()
        picture = result.download(OUT / "rocket-4k.jpg")
        size = picture.stat().st_size // 1024
        print(f"   saved {picture.relative_to(ROOT)} ({size} KiB); balance {apixo.balance():f} USD")

        print("\n2. A request that breaks a rule costs nothing")
        try:
            apixo.submit(f"{files}/{PICTURE.name}", resolution="16k")
        except BadRequestError as error:
            print(f"   {error}")
        print(f"   balance {apixo.balance():f} USD")

        print("\n3. A failure on demand, by the image URL alone")
        try:
            apixo.upscale("https://example.com/emulate/SensitiveContent.jpg")
        except SensitiveContentError as error:
            print(f"   {error}")


if __name__ == "__main__":
    main()
