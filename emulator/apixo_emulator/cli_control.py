"""The commands that steer an emulator that runs: the control API's verbs, under the same names."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    import httpx

_DEFAULT_URL = "http://127.0.0.1:8787"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", re.ASCII)
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_FAILED, _USAGE, _UNREACHABLE = 1, 2, 3
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
            _end(
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
        _end(_FAILED, f"expected an emulator at {url}, found something else: {answer.status_code}")
    if answer.status_code >= _HTTP_ERROR:
        words = found.get("message") if isinstance(found, Mapping) else None
        _end(_USAGE if answer.status_code == _HTTP_ERROR else _FAILED, words or answer.text)
    return found


def _end(code: int, words: str) -> NoReturn:
    click.echo(f"apixo-emulator: {words}", err=True)
    sys.exit(code)


def _say(value: Any) -> None:
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


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Read a duration as ms."""
        try:
            return milliseconds(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
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


@click.group()
def scenario() -> None:
    """Make the next tasks fail, linger or misbehave."""


@scenario.command("add")
@_options
@click.argument("names", nargs=-1)
@click.option("--times", type=click.IntRange(min=1), help="for so many calls [default: 1]")
@click.option("--always", is_flag=True, help="until removed")
@click.option("--image-url", help="only for image URLs like this glob")
@click.option("--resolution", help="only for this resolution")
@click.option("--format", "output_format", help="only for this output format")
@click.option(
    "--file", "path", type=click.Path(path_type=Path, exists=True), help="add a rule file's rules"
)
def scenario_add(desk: Desk, names: tuple[str, ...], path: Path | None, **given: Any) -> None:
    """Ask for scenarios by NAMES, for the next call unless told otherwise."""
    if bool(names) == bool(path):
        raise click.UsageError("expected names of scenarios (see `scenario names`), or --file")
    for rule in _file_rules(path) if path else [_rule(names, **given)]:
        _say(desk.call("POST", "scenarios", rule))


def _file_rules(path: Path) -> list[Mapping[str, Any]]:
    from apixo_emulator.core.rules import rule_to_json
    from apixo_emulator.scenario_file import load_rules

    try:
        return [rule_to_json(rule) for rule in load_rules(path)]
    except ValueError as error:
        _end(_USAGE, str(error))


def _rule(
    names: tuple[str, ...],
    *,
    times: int | None,
    always: bool,
    image_url: str | None,
    resolution: str | None,
    output_format: str | None,
) -> Mapping[str, Any]:
    match = {"image_url": image_url, "resolution": resolution, "output_format": output_format}
    rule: dict[str, Any] = {"scenario": list(names)}
    if not always:
        rule["times"] = times or 1
    wanted = {name: value for name, value in match.items() if value is not None}
    return {**rule, "match": wanted} if wanted else rule


@scenario.command("list")
@_options
def scenario_list(desk: Desk) -> None:
    """Show the active rules and how often each was used."""
    _say(desk.call("GET", "scenarios")["rules"])


@scenario.command("names")
def scenario_names() -> None:
    """Show all names with what they do."""
    from apixo_emulator.core.vocabulary import vocabulary

    entries = vocabulary()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        click.echo(f"{entry.name:<{width}}  {entry.effect}")


@scenario.command("clear")
@_options
@click.argument("rule_id", required=False)
def scenario_clear(desk: Desk, rule_id: str | None) -> None:
    """Remove one rule by its id, or all."""
    _say(desk.call("DELETE", f"scenarios/{rule_id}" if rule_id else "scenarios"))


@click.group()
def clock() -> None:
    """Look at the emulator's clock, and move it."""


@clock.command("show")
@_options
def clock_show(desk: Desk) -> None:
    """Show the instant now, in Unix ms, and how fast time runs."""
    _say(desk.call("GET", "clock"))


@clock.command("advance")
@_options
@click.argument("duration", type=_Duration())
def clock_advance(desk: Desk, duration: int) -> None:
    """Move the clock on by DURATION, such as 41s or 24h."""
    _say(desk.call("POST", "clock/advance", {"ms": duration}))


@clock.command("set")
@_options
@click.option("--now", type=int, help="the instant, in Unix ms")
@click.option("--rate", type=float, help="how fast time runs; 0 freezes it")
def clock_set(desk: Desk, now: int | None, rate: float | None) -> None:
    """Set the instant, or how fast time runs."""
    wanted = {name: value for name, value in (("now", now), ("rate", rate)) if value is not None}
    if not wanted:
        raise click.UsageError("expected --now or --rate")
    _say(desk.call("POST", "clock", wanted))


@clock.command("freeze")
@_options
def clock_freeze(desk: Desk) -> None:
    """Stop the clock."""
    _say(desk.call("POST", "clock", {"frozen": True}))


@clock.command("resume")
@_options
def clock_resume(desk: Desk) -> None:
    """Let the clock run again."""
    _say(desk.call("POST", "clock", {"frozen": False}))


@click.command()
@_options
@click.option("--seed", type=int, help="the seed from now on")
def reset(desk: Desk, seed: int | None) -> None:
    """Begin anew: no tasks, balances, scenarios or journal."""
    _say(desk.call("POST", "reset", {} if seed is None else {"seed": seed}))


@click.command()
@_options
@click.option("--state", help="only in this state")
@click.option("--text", help="only with this in an id, scenario or code")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def tasks(desk: Desk, **query: Any) -> None:
    """List tasks, the newest first."""
    _say(desk.call("GET", "tasks", **query)["tasks"])


@click.command()
@_options
@click.argument("task_id")
@click.option("--fail", "fail_code", help="with this failure code instead of success")
@click.option("--message", "fail_msg", help="the failure's message [default: the documented one]")
def finish(desk: Desk, task_id: str, fail_code: str | None, fail_msg: str | None) -> None:
    """End a task now."""
    body = {"failCode": fail_code, "failMsg": fail_msg}
    given = {name: value for name, value in body.items() if value is not None}
    _say(desk.call("POST", f"tasks/{task_id}/finish", given))


@click.group(invoke_without_command=True)
@click.pass_context
def requests(context: click.Context) -> None:
    """Look at the journal of calls: `requests list`, `verify`, `har`."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@requests.command("list")
@_options
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--after", type=int, help="calls with a greater number [default: the latest ones]")
def requests_list(desk: Desk, **query: Any) -> None:
    """List calls with what decided them."""
    _say(desk.call("GET", "requests", **query)["requests"])


@requests.command("verify")
@_options
@click.argument("expectation")
def requests_verify(desk: Desk, expectation: str) -> None:
    """Hold the journal against EXPECTATION, a JSON text. Exit codes: 0 it is met, 1 it is not."""
    try:
        wanted = json.loads(expectation)
    except ValueError as error:
        raise click.UsageError(f"expected JSON, found something else: {error}") from None
    found = desk.call("POST", "requests/verify", wanted)
    click.echo(found["words"])
    sys.exit(0 if found["met"] else _FAILED)


@requests.command("har")
@_options
def requests_har(desk: Desk) -> None:
    """Write the journal as HAR 1.2."""
    _say(desk.call("GET", "requests.har"))


@click.command()
@_options
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def deliveries(desk: Desk, limit: int) -> None:
    """List callbacks, the newest first."""
    _say(desk.call("GET", "deliveries", limit=limit)["deliveries"])


@click.command()
@_options
@click.argument("task_id")
def redeliver(desk: Desk, task_id: str) -> None:
    """Send a task's callback again, now."""
    _say(desk.call("POST", f"deliveries/{task_id}/redeliver"))


@click.command()
@_options
def accounts(desk: Desk) -> None:
    """List accounts with balance and limits."""
    _say(desk.call("GET", "accounts")["accounts"])


@click.command("top-up")
@_options
@click.argument("account")
@click.argument("amount")
def top_up(desk: Desk, account: str, amount: str) -> None:
    """Add AMOUNT in USD to the balance of ACCOUNT: an id of `accounts`, or an API key."""
    _say(desk.call("POST", "accounts/top-up", {"key": account, "amount": amount}))


@click.command()
@_options
def config(desk: Desk) -> None:
    """Show how the emulator behaves."""
    _say(desk.call("GET", "config"))


@click.command()
@_options
def worlds(desk: Desk) -> None:
    """List the worlds that were used."""
    _say(desk.call("GET", "worlds")["worlds"])


COMMANDS = (
    scenario, clock, reset, tasks, finish, requests, deliveries, redeliver, accounts, top_up,
    config, worlds,
)  # fmt: skip
