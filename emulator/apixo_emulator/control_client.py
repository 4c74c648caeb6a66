"""The commands that control a running emulator: the operations of its control API, by the same names."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlsplit

import click
from click.shell_completion import CompletionItem

from apixo_emulator import option_types as types
from apixo_emulator.domain.accounts import KEY
from apixo_emulator.domain.clock import FASTEST, LATEST_MS
from apixo_emulator.domain.problems import is_text
from apixo_emulator.domain.randomness import LARGEST_SEED
from apixo_emulator.domain.text import shown
from apixo_emulator.domain.wire import CONTROL_PREFIX, TOKEN_HEADER
from apixo_emulator.option_types import OptionType

if TYPE_CHECKING:
    import httpx

DEFAULT_URL = "http://127.0.0.1:8787"
_FAILED, _USAGE, _UNREACHABLE = 1, 2, 3
_BAD_REQUEST = 400
_TIMEOUT_S = 30.0
_LOOPBACK = re.compile(r"localhost|.+\.localhost|127\.\d+\.\d+\.\d+|::1", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_API = re.compile(r"/(api/v1|_emulator)?/*$")
_PASSWORD = re.compile(r"//[^/]*@")
_TERMINAL_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_LONGEST_WORDS = 2000
_LONGEST_URL = 100


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
    if not _is_address(plain):
        expected = f"expected an http(s) address such as {DEFAULT_URL}"
        raise ValueError(f"{expected}, found {shown(_without_password(plain))}")
    return _API.sub("", plain)


def _is_address(text: str) -> bool:
    if not text.isprintable() or any(mark in text for mark in " ?#\\"):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of an IPv6 address
        return False


def _without_password(url: str) -> str:
    plain = _PASSWORD.sub("//…@", url)
    return plain if len(plain) <= _LONGEST_URL else f"{plain[:_LONGEST_URL]}…"


def _check_texts(given: Mapping[str, Any]) -> None:
    """Refuse arguments that are no UTF-8: they cannot be sent."""
    for name, value in given.items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and not is_text(text):
                raise click.UsageError(
                    f"{name}: expected a text in UTF-8, found {shown(text)}; give it again in UTF-8"
                )


def _segment(what: str, text: str) -> str:
    """Return an argument as one segment of a path; an empty one would be the path of all."""
    if not text:
        raise click.UsageError(f"expected {what}, found an empty text")
    return quote(text, safe="").replace(".", "%2E")


def _json(text: str) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{shown(constant)} is no number in JSON")

    def finite(digits: str) -> float:
        return number if math.isfinite(number := float(digits)) else refuse(digits)

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except RecursionError:
        raise click.UsageError("expected JSON, found lists in lists, too deep") from None
    except ValueError as error:
        raise click.UsageError(f"expected JSON, found something else: {error}") from None


# Calls


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Calls the control API of the emulator at ``url``; an error ends the command in words."""

    url: str
    token: str | None
    key: str | None
    world: str | None

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Mapping[str, Any]:
        """Make a call and return its JSON."""
        import httpx  # 80 ms, which `serve` does without

        where = _without_password(self.url)
        asked = {**query, "world": self.world or None}
        try:
            # A proxy of the environment is not asked for this machine; it would see the token.
            with httpx.Client(trust_env=not self._is_loopback(), timeout=_TIMEOUT_S) as client:
                response = client.request(
                    method,
                    self.url + CONTROL_PREFIX + path,
                    json=body,
                    params={name: value for name, value in asked.items() if value is not None},
                    headers=self._headers(),
                )
        except httpx.RequestError as error:
            _end(
                _UNREACHABLE,
                f"no emulator answers at {where}: {error}. Start one with"
                " `apixo-emulator serve`, or name it with --url.",
            )
        except (httpx.InvalidURL, ImportError, ValueError) as error:
            # A name that no host can have, or a proxy of the environment that cannot be used.
            _end(_USAGE, f"{where} cannot be called: {error}. Name the emulator with --url.")
        return self._read(response)

    def part(self, name: str, path: str, **query: Any) -> Any:
        """Make a GET call and return one part of its JSON."""
        return self.part_of(self.call("GET", path, **query), name)

    def part_of(self, answer: Mapping[str, Any], name: str) -> Any:
        """Return one part of an answer; an answer without it is not an emulator's."""
        if name not in answer:
            self._not_an_emulator(f"JSON without {name}")
        return answer[name]

    def _is_loopback(self) -> bool:
        return bool(_LOOPBACK.fullmatch(urlsplit(self.url).hostname or ""))

    def _headers(self) -> Mapping[str, str]:
        headers = {TOKEN_HEADER: self.token} if self.token else {}
        return {**headers, "authorization": f"Bearer {self.key}"} if self.key else headers

    def _read(self, response: httpx.Response) -> Mapping[str, Any]:
        status = f"status {response.status_code}"
        try:
            found = response.json()
        except (ValueError, RecursionError):
            self._not_an_emulator(f"{status} without JSON")
        if not isinstance(found, Mapping):
            self._not_an_emulator(f"{status} with other JSON")
        if not response.is_success:
            words = found.get("message")
            if not isinstance(words, str):
                self._not_an_emulator(f"{status} without a message")
            _end(_USAGE if response.status_code == _BAD_REQUEST else _FAILED, words)
        return found

    def _not_an_emulator(self, found: str) -> NoReturn:
        _end(
            _FAILED,
            f"expected an emulator at {_without_password(self.url)}, found something else: {found}."
            " Name the emulator's address with --url.",
        )


def _printable(words: str) -> str:
    """Return words without what controls a terminal: the other side may be any server."""
    plain = _TERMINAL_CONTROL.sub(lambda match: repr(match[0])[1:-1], words)
    return plain if len(plain) <= _LONGEST_WORDS else f"{plain[:_LONGEST_WORDS]}…"


def _end(code: int, words: str) -> NoReturn:
    click.echo(f"apixo-emulator: {_printable(words)}", err=True)
    sys.exit(code)


def _print_json(value: Any) -> None:
    """Print JSON, in ASCII where the terminal has no other characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    click.echo(text)


def _controlling(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which emulator is meant; the command is given a `ControlClient`."""

    def run(url: str, token: str | None, key: str | None, world: str | None, **rest: Any) -> None:
        _check_texts({**rest, "--world": world})
        command(ControlClient(url, token, key, world), **rest)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined] # where click's decorators keep them
    for option in (
        click.option("--world", help="world to act on, see `worlds`"),
        click.option(
            "--key",
            envvar="APIXO_API_KEY",
            show_envvar=True,
            type=_Typed(types.parsed("TEXT", _secret)),
            help="with --world-per-key: its world",
        ),
        click.option(
            "--token",
            envvar="APIXO_EMULATOR_CONTROL_TOKEN",
            show_envvar=True,
            type=_Typed(types.parsed("TEXT", _secret)),
            help="control token",
        ),
        click.option(
            "--url",
            envvar=["APIXO_EMULATOR_URL", "APIXO_BASE_URL"],
            default=DEFAULT_URL,
            show_default=True,
            show_envvar=True,
            type=_Typed(types.parsed("URL", _origin)),
            help="where the emulator runs",
        ),
    ):
        run = option(run)
    return run


_limit = click.option("--limit", type=_Typed(types.integer(1, 1000)), default=20, show_default=True)


# Clock, reset and config


@click.group()
def clock() -> None:
    """Look at the emulator's clock, and move it."""


@clock.command("show")
@_controlling
def clock_show(control: ControlClient) -> None:
    """Show the instant now, in Unix ms, and how fast time runs."""
    _print_json(control.call("GET", "clock"))


@clock.command("advance")
@_controlling
@click.argument("duration", type=_Typed(types.parsed("DURATION", _duration_ms)))
def clock_advance(control: ControlClient, duration: int) -> None:
    """Move the clock on by DURATION, such as 41s or 24h."""
    _print_json(control.call("POST", "clock/advance", {"ms": duration}))


@clock.command("set")
@_controlling
@click.option(
    "--now", type=_Typed(types.integer(0, LATEST_MS, "MS")), help="the instant, in Unix ms"
)
@click.option(
    "--rate", type=_Typed(types.number(0, FASTEST)), help="how fast time runs; 0 freezes it"
)
def clock_set(control: ControlClient, **given: Any) -> None:
    """Set the instant, or how fast time runs."""
    wanted = {name: value for name, value in given.items() if value is not None}
    if not wanted:
        raise click.UsageError("expected --now or --rate, found neither")
    _print_json(control.call("POST", "clock", wanted))


@clock.command("freeze")
@_controlling
def clock_freeze(control: ControlClient) -> None:
    """Stop the clock."""
    _print_json(control.call("POST", "clock", {"frozen": True}))


@clock.command("resume")
@_controlling
def clock_resume(control: ControlClient) -> None:
    """Let the clock run again."""
    _print_json(control.call("POST", "clock", {"frozen": False}))


@click.command()
@_controlling
@click.option("--seed", type=_Typed(types.integer(0, LARGEST_SEED)), help="the seed from now on")
def reset(control: ControlClient, seed: int | None) -> None:
    """Remove all tasks, balances, scenarios and the journal; clock and seed as at the start."""
    _print_json(control.call("POST", "reset", {} if seed is None else {"seed": seed}))


@click.command()
@_controlling
def config(control: ControlClient) -> None:
    """Show how the emulator behaves."""
    _print_json(control.call("GET", "config"))


@click.command()
@_controlling
def worlds(control: ControlClient) -> None:
    """List the worlds that were used."""
    _print_json(control.part("worlds", "worlds"))


# Tasks, deliveries and accounts


@click.command()
@_controlling
@click.option("--state", help="only in this state")
@click.option("--text", help="only with this in an id, scenario or code")
@_limit
def tasks(control: ControlClient, **query: Any) -> None:
    """List tasks, the newest first."""
    _print_json(control.part("tasks", "tasks", **query))


@click.command()
@_controlling
@click.argument("task_id")
@click.option("--fail", "fail_code", help="with this failure code instead of success")
@click.option("--message", "fail_msg", help="the failure's message [default: the documented one]")
def finish(
    control: ControlClient, task_id: str, fail_code: str | None, fail_msg: str | None
) -> None:
    """End a task now."""
    body = {"failCode": fail_code, "failMsg": fail_msg}
    given = {name: value for name, value in body.items() if value is not None}
    _print_json(
        control.call("POST", f"tasks/{_segment('the id of a task', task_id)}/finish", given)
    )


@click.command()
@_controlling
@_limit
def deliveries(control: ControlClient, limit: int) -> None:
    """List callbacks, the newest first."""
    _print_json(control.part("deliveries", "deliveries", limit=limit))


@click.command()
@_controlling
@click.argument("task_id")
def redeliver(control: ControlClient, task_id: str) -> None:
    """Send a task's callback again, now."""
    where = f"deliveries/{_segment('the id of a task', task_id)}/redeliver"
    _print_json(control.call("POST", where))


@click.command()
@_controlling
def accounts(control: ControlClient) -> None:
    """List accounts with balance and limits."""
    _print_json(control.part("accounts", "accounts"))


@click.command("top-up")
@_controlling
@click.argument("account")
@click.argument("amount")
def top_up(control: ControlClient, account: str, amount: str) -> None:
    """Add AMOUNT in USD to the balance of ACCOUNT: an id of `accounts`, or an API key."""
    _print_json(control.call("POST", "accounts/top-up", {"key": account, "amount": amount}))


# The journal


@click.group(invoke_without_command=True)
@click.pass_context
def requests(context: click.Context) -> None:
    """Look at the journal of calls: `requests list`, `verify`, `har`."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@requests.command("list")
@_controlling
@_limit
@click.option(
    "--after",
    type=_Typed(types.integer(0, 2**31 - 1)),
    help="calls with a greater number [default: the latest ones]",
)
def requests_list(control: ControlClient, **query: Any) -> None:
    """List calls with what decided them."""
    _print_json(control.part("requests", "requests", **query))


@requests.command("verify")
@_controlling
@click.argument("expectation")
def requests_verify(control: ControlClient, expectation: str) -> None:
    """Compare the journal with EXPECTATION, a JSON text. Exit codes: 0 it is met, 1 it is not."""
    found = control.call("POST", "requests/verify", _json(expectation))
    words, encoding = (
        _printable(str(control.part_of(found, "words"))),
        sys.stdout.encoding or "utf-8",
    )
    click.echo(words.encode(encoding, "backslashreplace").decode(encoding))
    sys.exit(0 if control.part_of(found, "met") else _FAILED)


@requests.command("har")
@_controlling
def requests_har(control: ControlClient) -> None:
    """Write the journal as HAR 1.2."""
    _print_json(control.call("GET", "requests.har"))


# Scenarios


@click.group()
def scenario() -> None:
    """Make the next tasks fail, linger or misbehave."""


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


@scenario.command("add")
@_controlling
@click.argument("names", nargs=-1, shell_complete=_complete_names)
@click.option(
    "--times", type=_Typed(types.integer(1, 1_000_000)), help="for so many calls [default: 1]"
)
@click.option("--always", is_flag=True, help="until removed")
@click.option("--image-url", help="only for image URLs like this; * stands for anything")
@click.option("--resolution", help="only for this resolution")
@click.option("--format", "output_format", help="only for this output format")
@click.option("--match-key", help="only for API keys like this; --key is whose world it is")
@click.option(
    "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="only with this header"
)
@click.option(
    "--call",
    "calls",
    type=_Typed(types.integer(1, 1_000_000)),
    multiple=True,
    help="only for the n-th call that fits",
)
@click.option(
    "--probability",
    type=_Typed(types.number(0, 1)),
    help="only for this share of calls, such as 0.1",
)
@click.option(
    "--file", "path", type=click.Path(path_type=Path, exists=True), help="add a rule file's rules"
)
def scenario_add(
    control: ControlClient, names: tuple[str, ...], path: Path | None, **given: Any
) -> None:
    """Ask for scenarios by NAMES, for the next call unless told otherwise."""
    if bool(names) == bool(path):
        raise click.UsageError("expected names of scenarios (see `scenario names`), or --file")
    for rule in _rules_of(path) if path else [_rule(names, **given)]:
        _print_json(control.call("POST", "scenarios", rule))


def _rules_of(path: Path) -> list[Mapping[str, Any]]:
    from apixo_emulator.scenarios.file import load_rules
    from apixo_emulator.scenarios.rules import rule_to_json

    try:
        return [rule_to_json(rule) for rule in load_rules(path)]
    except ValueError as error:
        _end(_USAGE, str(error))


def _rule(
    names: tuple[str, ...],
    *,
    times: int | None,
    always: bool,
    match_key: str | None,
    headers: tuple[str, ...],
    calls: tuple[int, ...],
    **match: Any,
) -> Mapping[str, Any]:
    if always and times is not None:
        raise click.UsageError("expected one of --times and --always, found both")
    rule: dict[str, Any] = {"scenario": list(names)}
    if not always:
        rule["times"] = times or 1
    match |= {"key": match_key, "headers": _header_patterns(headers), "call": list(calls)}
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


@scenario.command("list")
@_controlling
def scenario_list(control: ControlClient) -> None:
    """Show the active rules and how often each was used."""
    _print_json(control.part("rules", "scenarios"))


@scenario.command("names")
def scenario_names() -> None:
    """Show all names with what they do."""
    from apixo_emulator.scenarios.vocabulary import vocabulary

    entries = vocabulary()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        click.echo(f"{entry.name:<{width}}  {entry.effect}")


@scenario.command("clear")
@_controlling
@click.argument("rule_id", required=False)
def scenario_clear(control: ControlClient, rule_id: str | None) -> None:
    """Remove one rule by its id, or all."""
    path = "scenarios" if rule_id is None else f"scenarios/{_segment('the id of a rule', rule_id)}"
    _print_json(control.call("DELETE", path))


COMMANDS = (
    scenario, clock, reset, tasks, finish, requests, deliveries, redeliver, accounts, top_up,
    config, worlds,
)  # fmt: skip
