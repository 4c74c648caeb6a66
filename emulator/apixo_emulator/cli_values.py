"""What is given to the commands, read so that nothing comes through that cannot be sent."""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import quote, urlsplit

import click

from apixo_emulator.domain.clock import LATEST_MS
from apixo_emulator.domain.nearest import shown
from apixo_emulator.domain.problems import is_text
from apixo_emulator.domain.terms import KEY

DEFAULT_URL = "http://127.0.0.1:8787"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SCHEMES = ("http", "https")
_API = re.compile(r"/(api/v1|_emulator)?/*$")
_PASSWORD = re.compile(r"//[^/]*@")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_LONGEST = 2000
_LONGEST_URL = 100


def milliseconds(text: str) -> int:
    """Read ``41s``, ``500ms``, ``1.5h``; several follow each other: ``1h30m``.

    Raises:
        ValueError: It is no duration, or longer than any clock shows.
    """
    plain = text.strip().lower()
    found = _DURATION.findall(plain)
    if not found or _DURATION.sub("", plain).strip():
        raise ValueError(f"expected a duration such as 41s, 500ms or 1h30m, found {shown(text)}")
    taken = sum(float(number) * _UNITS_MS[unit] for number, unit in found)
    if taken > LATEST_MS:
        raise ValueError(f"expected a duration of at most {LATEST_MS} ms, found {shown(text)}")
    return round(taken)


class Duration(click.ParamType[int]):
    """A duration on the command line; gives ms."""

    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read a duration as ms."""
        try:
            return milliseconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.ParamType[float]):
    """A finite number: JSON has no other."""

    name = "number"

    def __init__(self, example: str) -> None:
        self._example = example

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        """Read a number."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            expected = f"expected a finite number such as {self._example}"
            self.fail(f"{expected}, found {shown(str(value))}", param, ctx)
        return number


class Secret(click.ParamType[str]):
    """A key or a token, which goes into a header; it is never shown."""

    name = "text"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Take what a header can carry. What comes from a file often has a line end behind it."""
        text = str(value).strip()
        if text and not KEY.fullmatch(text):
            self.fail(
                "expected printable ASCII, found characters that no HTTP header can carry (not"
                " shown, as it is secret); look for quotes or a partial copy",
                param,
                ctx,
            )
        return text


class Address(click.ParamType[str]):
    """Where an emulator runs, with or without the API's path; gives the origin."""

    name = "url"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Read a base URL."""
        text = str(value).strip()
        if not _is_address(text):
            expected = f"expected an http(s) address such as {DEFAULT_URL}"
            self.fail(f"{expected}, found {shown(without_password(text))}", param, ctx)
        return _API.sub("", text)


def _is_address(text: str) -> bool:
    if not text.isprintable() or any(mark in text for mark in " ?#\\"):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 address
        return False


def without_password(url: str) -> str:
    """Give a URL as it may be shown, cut where it is long."""
    plain = _PASSWORD.sub("//…@", url)
    return plain if len(plain) <= _LONGEST_URL else f"{plain[:_LONGEST_URL]}…"


def check_texts(given: dict[str, Any]) -> None:
    """Refuse arguments that are no UTF-8: they can be sent nowhere.

    Raises:
        click.UsageError: There is one.
    """
    for name, value in given.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not is_text(text):
                raise click.UsageError(
                    f"{name}: expected a text in UTF-8, found {shown(text)}; give it again in UTF-8"
                )


def segment(name: str, text: str) -> str:
    """Write an argument as one part of a path, whatever is in it.

    Raises:
        click.UsageError: It is empty: the path would be another one.
    """
    if not text:
        raise click.UsageError(f"expected {name}, found an empty text")
    return quote(text, safe="").replace(".", "%2E")


def json_value(text: str) -> Any:
    """Read JSON.

    Raises:
        click.UsageError: It is none.
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise click.UsageError("expected JSON, found lists in lists, too deep") from None
    except ValueError as error:
        raise click.UsageError(f"expected JSON, found something else: {error}") from None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number in JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refuse(shown(digits))


def printable(words: str) -> str:
    """Give words without what steers a terminal; whoever answers may be a stranger."""
    plain = _CONTROL.sub(lambda found: repr(found[0])[1:-1], words)
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]}…"
