"""What the commands that steer a running emulator share: where it runs, and how it is asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from apixo_emulator.cli_values import (
    DEFAULT_URL,
    Address,
    Secret,
    check_texts,
    printable,
    without_password,
)

if TYPE_CHECKING:
    import httpx

FAILED, USAGE, _UNREACHABLE = 1, 2, 3
_BAD_REQUEST = 400
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the emulator runs, and which of its worlds is meant."""

    url: str
    token: str | None
    key: str | None
    world: str | None

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Mapping[str, Any]:
        """Make a control call and give its JSON; an error ends the command in words."""
        # Late: `serve` shares this program, and starts 80 ms sooner without it.
        import httpx

        from apixo_emulator.domain.control_names import CONTROL_PREFIX

        asked = {name: value for name, value in query.items() if value is not None}
        if self.world:
            asked["world"] = self.world
        where = without_password(self.url)
        try:
            answer = httpx.request(
                method,
                self.url + CONTROL_PREFIX + path,
                json=body,
                params=asked,
                headers=self._headers(),
                timeout=_PATIENCE_S,
            )
        except httpx.RequestError as error:
            end(
                _UNREACHABLE,
                f"no emulator answers at {where}: {error}. Start one with"
                " `apixo-emulator serve`, or name it with --url.",
            )
        except (httpx.InvalidURL, ValueError) as error:
            # A name that no host can have, or a proxy that the environment names.
            end(USAGE, f"{where} cannot be called: {error}. Name the emulator with --url.")
        return _read(answer, where)

    def _headers(self) -> Mapping[str, str]:
        from apixo_emulator.domain.control_names import TOKEN_HEADER

        headers = {}
        if self.token:
            headers[TOKEN_HEADER] = self.token
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        return headers

    def part(self, name: str, path: str, **query: Any) -> Any:
        """Ask for something, and give one part of the answer."""
        return self.part_of(self.call("GET", path, **query), name)

    def part_of(self, answer: Mapping[str, Any], name: str) -> Any:
        """Give one part of an answer; where a stranger has answered, end the command in words."""
        if name not in answer:
            _stranger(without_password(self.url), f"JSON without {name}")
        return answer[name]


def _read(answer: httpx.Response, where: str) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        _stranger(where, f"status {answer.status_code} without JSON")
    if not isinstance(found, Mapping):
        _stranger(where, f"status {answer.status_code} with other JSON")
    if not answer.is_success:
        words = found.get("message")
        if not isinstance(words, str):
            _stranger(where, f"status {answer.status_code} without a message")
        end(USAGE if answer.status_code == _BAD_REQUEST else FAILED, words)
    return found


def _stranger(where: str, found: str) -> NoReturn:
    end(
        FAILED,
        f"expected an emulator at {where}, found something else: {found}. Name the emulator's"
        " address with --url.",
    )


def end(code: int, words: str) -> NoReturn:
    """End the command with words on stderr."""
    click.echo(f"apixo-emulator: {printable(words)}", err=True)
    sys.exit(code)


def say(value: Any) -> None:
    """Print JSON, in ASCII where the terminal has no other characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


def tell(words: str) -> None:
    """Print words for people, with escapes for what the terminal does not have."""
    encoding = sys.stdout.encoding or "utf-8"
    click.echo(printable(words).encode(encoding, "backslashreplace").decode(encoding))


def steering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every steering command takes, and turn them into a `Desk`."""

    def run(url: str, token: str | None, key: str | None, world: str | None, **rest: Any) -> None:
        check_texts({**rest, "--world": world})
        command(Desk(url, token, key, world), **rest)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined] # where click's decorators keep them
    for option in (
        click.option("--world", help="world to act on, see `worlds`"),
        click.option(
            "--key",
            envvar="APIXO_API_KEY",
            show_envvar=True,
            type=Secret(),
            help="with --world-per-key: its world",
        ),
        click.option(
            "--token",
            envvar="APIXO_EMULATOR_CONTROL_TOKEN",
            show_envvar=True,
            type=Secret(),
            help="control token",
        ),
        click.option(
            "--url",
            envvar=["APIXO_EMULATOR_URL", "APIXO_BASE_URL"],
            default=DEFAULT_URL,
            show_default=True,
            show_envvar=True,
            type=Address(),
            help="where the emulator runs",
        ),
    ):
        run = option(run)
    return run
