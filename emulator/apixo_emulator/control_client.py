"""A client of the control API for commands: what goes wrong ends the command with one line and an exit code."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import click
import orjson

from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_HEADER

if TYPE_CHECKING:
    import httpx

FAILED, USAGE, UNREACHABLE = 1, 2, 3
_BAD_REQUEST = 400
_TIMEOUT_S = 30.0
_PASSWORD = re.compile(r"//[^/]*@")
_TERMINAL_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_LONGEST_WORDS = 2000
_LONGEST_URL = 100


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Calls the control API of the emulator at ``url``; an error ends the command in words."""

    url: str
    token: str | None
    key: str | None
    world: str | None

    def call(self, operation: str, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        """Make a call such as ``GET tasks`` and return its JSON."""
        method, _, path = operation.partition(" ")
        asked = {**(query or {}), "world": self.world or None}
        wanted = {name: value for name, value in asked.items() if value is not None}
        return self._read(self._sent(method, path, wanted, body))

    def part(self, answer: Mapping[str, Any], name: str) -> Any:
        """Return one part of an answer; an answer without it is not an emulator's."""
        if name not in answer:
            self._not_an_emulator(f"JSON without {name}")
        return answer[name]

    def _sent(self, method: str, path: str, query: Mapping[str, Any], body: Any) -> httpx.Response:
        import httpx  # 80 ms, which `--help` does without

        where = without_password(self.url)
        try:
            # A proxy of the environment is not asked for this machine; it would see the token.
            is_local = is_loopback_name(urlsplit(self.url).hostname or "")
            with httpx.Client(trust_env=not is_local, timeout=_TIMEOUT_S) as client:
                url = self.url + CONTROL_PREFIX + path
                return client.request(method, url, json=body, params=query, headers=self._headers())
        except httpx.RequestError as error:
            end(
                UNREACHABLE,
                f"no emulator answers at {where}: {error}. Start one with"
                " `apixo-emulator serve`, or name it with --url.",
            )
        except (httpx.InvalidURL, ImportError, ValueError) as error:
            # A name that no host can have, or a proxy of the environment that cannot be used.
            end(USAGE, f"{where} cannot be called: {error}. Name the emulator with --url.")

    def _headers(self) -> Mapping[str, str]:
        headers = {TOKEN_HEADER: self.token} if self.token else {}
        return {**headers, "authorization": f"Bearer {self.key}"} if self.key else headers

    def _read(self, response: httpx.Response) -> Mapping[str, Any]:
        status = f"status {response.status_code}"
        try:
            found = orjson.loads(response.content)
        except ValueError:
            self._not_an_emulator(f"{status} without JSON")
        if not isinstance(found, Mapping):
            self._not_an_emulator(f"{status} with other JSON")
        if not response.is_success:
            words = found.get("message")
            if not isinstance(words, str):
                self._not_an_emulator(f"{status} without a message")
            end(USAGE if response.status_code == _BAD_REQUEST else FAILED, words)
        return found

    def _not_an_emulator(self, found: str) -> NoReturn:
        end(
            FAILED,
            f"expected an emulator at {without_password(self.url)}, found something else: {found}."
            " Name the emulator's address with --url.",
        )


def printable(words: str) -> str:
    """Return words without what controls a terminal: the other side may be any server."""
    plain = _TERMINAL_CONTROL.sub(lambda match: repr(match[0])[1:-1], words)
    return plain if len(plain) <= _LONGEST_WORDS else f"{plain[:_LONGEST_WORDS]}…"


def end(code: int, words: str) -> NoReturn:
    """End the command with one line on stderr."""
    click.echo(f"apixo-emulator: {printable(words)}", err=True)
    sys.exit(code)


def without_password(url: str) -> str:
    """Return a URL as messages show it: cut, and without a user's name and password."""
    plain = _PASSWORD.sub("//…@", url)
    return plain if len(plain) <= _LONGEST_URL else f"{plain[:_LONGEST_URL]}…"
