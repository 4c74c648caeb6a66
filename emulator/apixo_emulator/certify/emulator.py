"""The certifier's own emulator: a process that keeps nothing, and the calls that control it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class OwnEmulator:
    """A running emulator. ``origin`` is its address without a path, ``base_url`` the API's.

    Where every key is a world of its own, ``key`` selects the world of a call.
    """

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.origin = origin = base_url.removesuffix(contract().prefix)
        # Loopback: a proxy of the environment must not see these calls.
        self._client = httpx.Client(
            base_url=origin, headers={"User-Agent": _AGENT}, timeout=_CALL_S, trust_env=False
        )

    def control(self, method: str, path: str, key: str, body: Any = None) -> Any:
        """Make a control call below ``/_emulator`` and return its JSON.

        Raises:
            NothingToJudgeError: It is answered with an error.
        """
        headers = {"Authorization": f"Bearer {key}"}
        response = self._client.request(method, f"/_emulator{path}", headers=headers, json=body)
        if response.is_error:
            raise NothingToJudgeError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json()

    def submit(self, key: str, **body: Any) -> str:
        """Submit a task and return its id.

        Raises:
            NothingToJudgeError: The submit is rejected.
        """
        response = self._api("submit", key, json=body)
        if response.status_code != httpx.codes.OK:
            raise NothingToJudgeError(f"the submit is rejected: {response.text}")
        return str(response.json()["data"]["taskId"])

    def poll(self, key: str, task_id: str) -> httpx.Response:
        """Return the status response of a task."""
        return self._api("status", key, params={"taskId": task_id})

    def fetch_results(self, response: httpx.Response) -> None:
        """Download the results that a status response names, if any."""
        result = response.json()["data"].get("resultJson")
        for url in json.loads(result)["resultUrls"] if result else ():
            self._client.get(url)

    def size(self, path: str) -> int:
        """Return the length of the result at a path, in bytes."""
        return int(self._client.head(path).headers["content-length"])

    def calls(self, key: str, after: int = 0) -> list[dict[str, Any]]:
        """Return the calls of a world with a greater number, the oldest first."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["number"] if found else after
            path = f"/requests?limit={_PAGE}&after={after}"
            page = self.control("GET", path, key)["requests"]
            found.extend(page)
            if len(page) < _PAGE:
                return found

    @staticmethod
    def is_own(call: Mapping[str, Any]) -> bool:
        """True if the certifier made the call, not the application."""
        return any(value == _AGENT for _, value in call["request"]["headers"])

    def _api(self, endpoint: str, key: str, **more: Any) -> httpx.Response:
        api = document("model.json")["api"]
        path = api["prefix"] + api[endpoint]["path"].format(model=contract().model)
        headers = {"Authorization": f"Bearer {key}"}
        return self._client.request(api[endpoint]["method"], path, headers=headers, **more)

    def close(self) -> None:
        """Close the connections to it."""
        self._client.close()


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
                emulator = OwnEmulator(line.removeprefix(_READY).strip())
                try:
                    yield emulator
                finally:
                    emulator.close()
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
