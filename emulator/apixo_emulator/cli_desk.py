"""What the commands that steer a running emulator share: where it runs, and how it is asked."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    import httpx

_DEFAULT_URL = "http://127.0.0.1:8787"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
FAILED, USAGE, _UNREACHABLE = 1, 2, 3
_HTTP_ERROR = 400
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Desk:
    """Where the emulator runs, and which of its worlds is meant."""

    url: str
    token: str | None
    key: str | None
    world: str | None

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Make a control call and give its JSON; an error ends the command in words."""
        # Late: `serve` shares this program, and starts 80 ms sooner without it.
        import httpx

        from apixo_emulator.core.control_names import CONTROL_PREFIX, TOKEN_HEADER

        headers = {}
        if self.token:
            headers[TOKEN_HEADER] = self.token
        if self.key:
            headers["authorization"] = f"Bearer {self.key}"
        asked = {name: value for name, value in query.items() if value is not None}
        if self.world:
            asked["world"] = self.world
        try:
            answer = httpx.request(
                method,
                _origin(self.url) + CONTROL_PREFIX + path,
                json=body,
                params=asked,
                headers=headers,
                timeout=_PATIENCE_S,
            )
        except (httpx.TransportError, httpx.InvalidURL) as error:
            end(
                _UNREACHABLE,
                f"no emulator answers at {self.url}: {error}. Start one with"
                " `apixo-emulator serve`, or name it with --url.",
            )
        return _read(answer, self.url)


def _origin(url: str) -> str:
    """Take a base URL with or without the API's path."""
    return re.sub(r"/(api/v1|_emulator)?/*$", "", url.strip())


def _read(answer: httpx.Response, url: str) -> Any:
    try:
        found = answer.json()
    except ValueError:
        end(FAILED, f"expected an emulator at {url}, found something else: {answer.status_code}")
    if answer.status_code >= _HTTP_ERROR:
        words = found.get("message") if isinstance(found, Mapping) else None
        end(USAGE if answer.status_code == _HTTP_ERROR else FAILED, words or answer.text)
    return found


def end(code: int, words: str) -> NoReturn:
    """End the command with words on stderr."""
    click.echo(f"apixo-emulator: {words}", err=True)
    sys.exit(code)


def say(value: Any) -> None:
    """Print JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def milliseconds(text: str) -> int:
    """Read ``41s``, ``500ms``, ``1.5h``; several follow each other: ``1h30m``.

    Raises:
        ValueError: It is no duration.
    """
    found = _DURATION.findall(text.strip().lower())
    if not found or _DURATION.sub("", text.strip().lower()).strip():
        raise ValueError(f"expected a duration such as 41s, 500ms or 1h30m, found {text!r}")
    return round(sum(float(number) * _UNITS_MS[unit] for number, unit in found))


class Duration(click.ParamType[int]):
    """A duration on the command line; gives ms."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read a duration as ms."""
        try:
            return milliseconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def steering(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every steering command takes, and turn them into a `Desk`."""

    def run(url: str, token: str | None, key: str | None, world: str | None, **rest: Any) -> None:
        command(Desk(url, token, key, world), **rest)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined] # where click's decorators keep them
    for option in (
        click.option("--world", help="world to act on, see `worlds`"),
        click.option("--key", envvar="APIXO_API_KEY", help="with --world-per-key: its world"),
        click.option("--token", envvar="APIXO_EMULATOR_CONTROL_TOKEN", help="control token"),
        click.option(
            "--url",
            envvar=["APIXO_EMULATOR_URL", "APIXO_BASE_URL"],
            default=_DEFAULT_URL,
            show_default=True,
            show_envvar=True,
            help="where the emulator runs",
        ),
    ):
        run = option(run)
    return run
