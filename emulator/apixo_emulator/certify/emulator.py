"""The certifier's own emulator: a process that keeps nothing, and the calls that control it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from apixo_emulator.certify.model import NothingToJudgeError
from apixo_schemas import contract, document

_STOP_S = 10.0
_CALL_S = 30.0
# The control API returns at most this many calls at once.
_PAGE = 1000
_READY = "apixo-emulator ready: "
# Tells the certifier's own calls from those of the application.
_AGENT = "apixo-emulator-certify"


class World:
    """Calls to an emulator with one key, which is a world of its own where every key is one."""

    def __init__(self, client: httpx.Client, key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"}

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Make a control call below ``/_emulator`` and return its JSON.

        Raises:
            NothingToJudgeError: It is answered with an error.
        """
        response = await self._call(method, f"/_emulator{path}", json=body)
        if response.is_error:
            raise NothingToJudgeError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    async def submit(self, **body: Any) -> str:
        """Submit a task and return its id.

        Raises:
            NothingToJudgeError: The submit is rejected.
        """
        response = await self._call(*_endpoint("submit"), json=body)
        if response.status_code != httpx.codes.OK:
            raise NothingToJudgeError(f"the submit is rejected: {response.text}")
        return str(response.json()["data"]["taskId"])

    async def poll(self, task_id: str) -> httpx.Response:
        """Return the status response of a task."""
        return await self._call(*_endpoint("status"), params={"taskId": task_id})

    async def fetch_results(self, response: httpx.Response) -> None:
        """Download the results that a status response names, if any."""
        result = response.json()["data"].get("resultJson")
        for url in json.loads(result)["resultUrls"] if result else ():
            await self._call("GET", url)

    async def size(self, path: str) -> int:
        """Return the length of the result at a path, in bytes."""
        return int((await self._call("HEAD", path)).headers["content-length"])

    async def calls(self, after: int = 0) -> list[dict[str, Any]]:
        """Return the calls of the world with a greater number, the oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["number"] if found else after
            page = await self.control("GET", f"/requests?limit={_PAGE}&after={after}")
            found.extend(page["requests"])
            if len(page["requests"]) < _PAGE:
                return found

    async def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        request = self._client.request
        return await asyncio.to_thread(request, method, path, headers=self._headers, **more)


def is_own(call: Mapping[str, Any]) -> bool:
    """True if the certifier made a call, not the application."""
    return any(value == _AGENT for _, value in call["request"]["headers"])


def _endpoint(name: str) -> tuple[str, str]:
    """Return method and path of an endpoint."""
    api = document("model.json")["api"]
    return api[name]["method"], api["prefix"] + api[name]["path"].format(model=contract().model)


@dataclass(frozen=True)
class OwnEmulator:
    """A running emulator; ``origin`` is its address without a path."""

    origin: str
    _client: httpx.Client

    @property
    def base_url(self) -> str:
        """The address of its API."""
        return self.origin + contract().prefix

    def world(self, key: str) -> World:
        """Return the world of a key."""
        return World(self._client, key)


@contextmanager
def own_emulator(
    port: int, options: Sequence[str], *, config: str = "", profile: str = ""
) -> Iterator[OwnEmulator]:
    """Start an emulator on loopback, and end it with the block.

    Args:
        port: Its port; 0 takes a free one.
        options: Further options of ``serve``.
        config: Text of its configuration file.
        profile: Text of the profile that it behaves by.

    Raises:
        NothingToJudgeError: It does not start.
    """
    with tempfile.TemporaryDirectory(prefix="apixo-certify-") as folder:
        command = [sys.executable, "-m", "apixo_emulator", "serve", "--ephemeral"]
        command += ["--port", str(port), *options]
        for option, text in (("--config", config), ("--profile", profile)):
            if text:
                path = Path(folder) / f"{option.strip('-')}.toml"
                path.write_text(text, "utf-8")
                command += [option, str(path)]
        # The user's settings of an emulator are for another one.
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("APIXO_EMULATOR_") and name != "PORT"
        }
        log = Path(folder) / "log"
        with (
            log.open("wb") as errors,
            subprocess.Popen(  # noqa: S603 - our own command
                command, stdout=subprocess.PIPE, stderr=errors, cwd=folder, env=environment,
                # Its own session: Ctrl-C ends it after the cases that use it, not before.
                start_new_session=True,
            ) as process,
        ):  # fmt: skip
            try:
                line = process.stdout.readline().decode() if process.stdout else ""
                if not line.startswith(_READY):
                    process.wait(_STOP_S)
                    raise NothingToJudgeError(log.read_text("utf-8", errors="replace").strip())
                # Loopback: a proxy of the environment must not see these calls.
                origin = line.removeprefix(_READY).strip().removesuffix(contract().prefix)
                with httpx.Client(
                    base_url=origin, headers={"User-Agent": _AGENT}, timeout=_CALL_S, trust_env=False
                ) as client:  # fmt: skip
                    yield OwnEmulator(origin, client)
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
