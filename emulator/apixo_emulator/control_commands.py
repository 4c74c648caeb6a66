"""The commands that control a running emulator, one for each operation of its control API."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import orjson
from click.shell_completion import CompletionItem

from apixo_emulator import option_types as types
from apixo_emulator.control_client import (
    FAILED,
    USAGE,
    ControlClient,
    end,
    printable,
    without_password,
)
from apixo_emulator.domain.accounts import KEY
from apixo_emulator.domain.clock import FASTEST, LATEST_MS
from apixo_emulator.domain.problems import is_text
from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.domain.text import shown
from apixo_emulator.option_types import OptionType
from apixo_emulator.settings import is_http_url

DEFAULT_URL = "http://127.0.0.1:8787"
_DURATION = re.compile(r"(?<!\d)(\d++(?:\.\d++)?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_API = re.compile(r"/(api/v1|_emulator)?/*$")


# Types of arguments


class _Typed(click.ParamType):  # type: ignore[type-arg] # generic since click 8.4
    """An option type, for click."""

    def __init__(self, type_: OptionType) -> None:
        self._type = type_
        self.name = type_.metavar

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Read a value."""
        try:
            return self._type.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _duration_ms(text: str) -> int:
    """Read ``41s``, ``500ms``, ``1.5h``, ``1h30m``."""
    plain = text.strip().lower()
    parts = _DURATION.findall(plain)
    if not parts or _DURATION.sub("", plain).strip():
        raise ValueError(f"expected a duration such as 41s, 500ms or 1h30m, found {shown(text)}")
    taken = sum(float(number) * _UNITS_MS[unit] for number, unit in parts)
    if taken > LATEST_MS:
        raise ValueError(f"expected a duration of at most {LATEST_MS} ms, found {shown(text)}")
    return round(taken)


def _secret(text: str) -> str:
    plain = text.strip()  # what comes from a file often ends with a line end
    if plain and not KEY.fullmatch(plain):
        raise ValueError(
            "expected printable ASCII, found characters that no HTTP header can carry (not shown,"
            " as it is secret); look for quotes or a partial copy"
        )
    return plain


def _origin(text: str) -> str:
    """Read the address of an emulator, with or without the API's path."""
    plain = text.strip()
    if not is_http_url(plain) or any(mark in plain for mark in " ?#\\"):
        expected = f"expected an http(s) address such as {DEFAULT_URL}"
        raise ValueError(f"{expected}, found {shown(without_password(plain))}")
    return _API.sub("", plain)


def _check_texts(given: Mapping[str, Any]) -> None:
    """Refuse arguments that are no UTF-8: they cannot be sent."""
    for name, value in given.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not is_text(text):
                raise click.UsageError(
                    f"{name}: expected a text in UTF-8, found {shown(text)}; give it again in UTF-8"
                )


def _filled(path: str, given: dict[str, Any]) -> str:
    """Return a path with the arguments that it names, which are taken from ``given``."""
    for name in re.findall(r"{(\w+)}", path):
        text = given.pop(name)
        if not text:  # the path would be that of all
            raise click.UsageError(f"{name.upper()}: expected an id, found an empty text")
        path = path.replace(f"{{{name}}}", quote(text, safe="").replace(".", "%2E"))
    return path


def _print_json(value: Any) -> None:
    """Print JSON, in ASCII where the terminal has no other characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


Run = Callable[..., None]


def _option(*names: str, kind: OptionType | None = None, **more: Any) -> click.Option:
    return click.Option(names, type=_Typed(kind) if kind else None, **more)


_SECRET = types.parsed("TEXT", _secret)
_CONNECTION = (
    _option(
        "--url", kind=types.parsed("URL", _origin), help="where the emulator runs",
        envvar=["APIXO_EMULATOR_URL", "APIXO_BASE_URL"], show_envvar=True,
        default=DEFAULT_URL, show_default=True,
    ),
    _option(
        "--token", kind=_SECRET, help="control token",
        envvar="APIXO_EMULATOR_CONTROL_TOKEN", show_envvar=True,
    ),
    _option(
        "--key", "world_key", kind=_SECRET, help="with --world-per-key: its world",
        envvar="APIXO_API_KEY", show_envvar=True,
    ),
    _option("--world", help="world to act on, see `worlds`"),
)  # fmt: skip


def _command(name: str, words: str, run: Run, *params: click.Parameter) -> click.Command:
    """Return a command with the options that say which emulator is meant; ``run`` gets its client."""

    def callback(
        world_key: str | None, url: str, token: str | None, world: str | None, **given: Any
    ) -> None:
        _check_texts({**given, "--world": world})
        run(ControlClient(url, token, world_key, world), **given)

    return click.Command(name, callback=callback, params=[*params, *_CONNECTION], help=words)


def _calling(
    name: str,
    words: str,
    operation: str,
    *params: click.Parameter,
    part: str = "",
    body: Mapping[str, Any] | None = None,
) -> click.Command:
    """Return a command that makes one call and prints its answer, or one part of it.

    Its arguments fill the path of ``operation``; the others are the query or the body.
    """

    def run(control: ControlClient, **given: Any) -> None:
        path = _filled(operation, given)
        if path.startswith("GET "):
            found = control.call(path, query=given)
        else:
            wanted = {key: value for key, value in given.items() if value is not None}
            found = control.call(path, {**wanted, **(body or {})})
        _print_json(control.part(found, part) if part else found)

    return _command(name, words, run, *params)


def _set_clock(control: ControlClient, **given: Any) -> None:
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        raise click.UsageError("expected --now or --rate, found neither")
    _print_json(control.call("POST clock", wanted))


def _verify(control: ControlClient, expectation: str) -> None:
    try:
        document = orjson.loads(expectation)
    except ValueError as error:
        raise click.UsageError(f"expected JSON, found something else: {error}") from None
    found = control.call("POST requests/verify", document)
    words, encoding = printable(str(control.part(found, "words"))), sys.stdout.encoding or "utf-8"
    click.echo(words.encode(encoding, "backslashreplace").decode(encoding))
    sys.exit(0 if control.part(found, "met") else FAILED)


_TASK = click.Argument(["task_id"])
_LIMIT = _option("--limit", kind=types.integer(1, 1000), default=20, show_default=True)
_SPAN = types.parsed("DURATION", _duration_ms)
_NOW = types.integer(0, LATEST_MS, "MS")
_NUMBER = types.integer(0, 2**31 - 1)
_COUNT = types.integer(1, 1_000_000)

_CLOCK = (
    _calling("show", "Show the instant now, in Unix ms, and how fast time runs.", "GET clock"),
    _calling(
        "advance", "Move the clock on by DURATION, such as 41s or 24h.", "POST clock/advance",
        click.Argument(["ms"], metavar="DURATION", type=_Typed(_SPAN)),
    ),
    _command(
        "set", "Set the instant, or how fast time runs.", _set_clock,
        _option("--now", kind=_NOW, help="the instant, in Unix ms"),
        _option("--rate", kind=types.number(0, FASTEST), help="how fast time runs; 0 freezes it"),
    ),
    _calling("freeze", "Stop the clock.", "POST clock", body={"frozen": True}),
    _calling("resume", "Let the clock run again.", "POST clock", body={"frozen": False}),
)  # fmt: skip
_REQUESTS = (
    _calling(
        "list", "List calls with what decided them.", "GET requests", _LIMIT,
        _option(
            "--after", kind=_NUMBER, help="calls with a greater number [default: the latest ones]"
        ),
        part="requests",
    ),
    _command(
        "verify",
        "Compare the journal with EXPECTATION, a JSON text. Exit codes: 0 it is met, 1 it is not.",
        _verify, click.Argument(["expectation"]),
    ),
    _calling("har", "Write the journal as HAR 1.2.", "GET requests.har"),
)  # fmt: skip
_PLAIN = (
    _calling("config", "Show how the emulator behaves.", "GET config"),
    _calling("worlds", "List the worlds that were used.", "GET worlds", part="worlds"),
    _calling(
        "reset",
        "Remove all tasks, balances, scenarios and the journal; clock and seed as at the start.",
        "POST reset",
        _option("--seed", kind=types.integer(0, LARGEST_SEED), help="the seed from now on"),
    ),
    _calling(
        "tasks", "List tasks, the newest first.", "GET tasks", _LIMIT,
        _option("--state", help="only in this state"),
        _option("--text", help="only with this in an id, scenario or code"),
        part="tasks",
    ),
    _calling(
        "finish", "End a task now.", "POST tasks/{task_id}/finish", _TASK,
        _option("--fail", "failCode", help="with this failure code instead of success"),
        _option("--message", "failMsg", help="the failure's message [default: the documented one]"),
    ),
    _calling(
        "deliveries", "List callbacks, the newest first.", "GET deliveries", _LIMIT,
        part="deliveries",
    ),
    _calling(
        "redeliver", "Send a task's callback again, now.", "POST deliveries/{task_id}/redeliver",
        _TASK,
    ),
    _calling("accounts", "List accounts with balance and limits.", "GET accounts", part="accounts"),
    _calling(
        "top-up",
        "Add AMOUNT in USD to the balance of ACCOUNT: an id of `accounts`, or an API key.",
        "POST accounts/top-up",
        click.Argument(["key"], metavar="ACCOUNT"), click.Argument(["amount"]),
    ),
)  # fmt: skip


# Scenarios


def _complete_names(_ctx: click.Context, _param: Any, begun: str) -> list[CompletionItem]:
    from apixo_emulator.scenarios.vocabulary import vocabulary

    start = begun.lower()
    return [
        CompletionItem(
            entry.name.replace("<seconds>", "5").replace("<fault>", "http-500"), help=entry.effect
        )
        for entry in vocabulary()
        if entry.name.lower().startswith(start)
    ]


def _add_scenarios(
    control: ControlClient, names: tuple[str, ...], path: Path | None, **given: Any
) -> None:
    if bool(names) == bool(path):
        raise click.UsageError("expected names of scenarios (see `scenario names`), or --file")
    for rule in _rules_of(path) if path else [_rule(names, **given)]:
        _print_json(control.call("POST scenarios", rule))


def _rules_of(path: Path) -> list[Mapping[str, Any]]:
    from apixo_emulator.scenarios.file import load_rules
    from apixo_emulator.scenarios.rules import rule_to_json

    try:
        return [rule_to_json(rule) for rule in load_rules(path)]
    except ValueError as error:
        end(USAGE, str(error))


def _rule(
    names: tuple[str, ...],
    *,
    times: int | None,
    always: bool,
    headers: tuple[str, ...],
    call: tuple[int, ...],
    **match: Any,
) -> Mapping[str, Any]:
    if always and times is not None:
        raise click.UsageError("expected one of --times and --always, found both")
    rule: dict[str, Any] = {"scenario": list(names)}
    if not always:
        rule["times"] = times or 1
    match |= {"headers": _header_patterns(headers), "call": list(call)}
    wanted = {name: value for name, value in match.items() if value not in (None, {}, [])}
    return {**rule, "match": wanted} if wanted else rule


def _header_patterns(lines: tuple[str, ...]) -> Mapping[str, str]:
    """Read headers as curl takes them."""
    patterns: dict[str, str] = {}
    for line in lines:
        name, colon, pattern = (part.strip() for part in line.partition(":"))
        if not (name and colon and pattern):
            raise click.UsageError(f"--header: expected 'NAME: VALUE', found {line!r}")
        if name.lower() in patterns:
            raise click.UsageError(f"--header: expected each header once, found {name} twice")
        patterns[name.lower()] = pattern
    return patterns


def _show_names() -> None:
    from apixo_emulator.scenarios.vocabulary import vocabulary

    entries = vocabulary()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        click.echo(f"{entry.name:<{width}}  {entry.effect}")


def _clear_scenarios(control: ControlClient, rule_id: str | None) -> None:
    path = "scenarios" if rule_id is None else _filled("scenarios/{rule_id}", {"rule_id": rule_id})
    _print_json(control.call(f"DELETE {path}"))


_SCENARIO = (
    _command(
        "add", "Ask for scenarios by NAMES, for the next call unless an option says otherwise.",
        _add_scenarios,
        click.Argument(["names"], nargs=-1, shell_complete=_complete_names),
        _option("--times", kind=_COUNT, help="for so many calls [default: 1]"),
        _option("--always", is_flag=True, help="until removed"),
        _option("--image-url", help="only for image URLs like this; * stands for anything"),
        _option("--resolution", help="only for this resolution"),
        _option("--format", "output_format", help="only for this output format"),
        _option(
            "--match-key", "key", help="only for API keys like this; --key is whose world it is"
        ),
        _option(
            "--header", "headers", multiple=True, metavar="'NAME: VALUE'",
            help="only with this header",
        ),
        _option("--call", kind=_COUNT, multiple=True, help="only for the n-th call that fits"),
        _option(
            "--probability", kind=types.number(0, 1),
            help="only for this share of calls, such as 0.1",
        ),
        click.Option(
            ["--file", "path"], type=click.Path(path_type=Path, exists=True),
            help="add a rule file's rules",
        ),
    ),
    _calling(
        "list", "Show the active rules and how often each was used.", "GET scenarios", part="rules"
    ),
    click.Command("names", callback=_show_names, help="Show all names with what they do."),
    _command(
        "clear", "Remove one rule by its id, or all.", _clear_scenarios,
        click.Argument(["rule_id"], required=False),
    ),
)  # fmt: skip

COMMANDS = (
    click.Group("scenario", _SCENARIO, help="Make the next tasks fail, linger or misbehave."),
    click.Group("clock", _CLOCK, help="Look at the emulator's clock, and move it."),
    click.Group(
        "requests",
        _REQUESTS,
        help="Look at the journal of calls: `requests list`, `verify`, `har`.",
    ),
    *_PLAIN,
)
