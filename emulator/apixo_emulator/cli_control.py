"""The commands that steer an emulator that runs: the control API's verbs, under the same names."""

from __future__ import annotations

import sys
from typing import Any

import click

from apixo_emulator.cli_desk import FAILED, Desk, say, steering, tell
from apixo_emulator.cli_scenarios import scenario
from apixo_emulator.cli_values import Duration, Number, json_value, segment


@click.group()
def clock() -> None:
    """Look at the emulator's clock, and move it."""


@clock.command("show")
@steering
def clock_show(desk: Desk) -> None:
    """Show the instant now, in Unix ms, and how fast time runs."""
    say(desk.call("GET", "clock"))


@clock.command("advance")
@steering
@click.argument("duration", type=Duration())
def clock_advance(desk: Desk, duration: int) -> None:
    """Move the clock on by DURATION, such as 41s or 24h."""
    say(desk.call("POST", "clock/advance", {"ms": duration}))


@clock.command("set")
@steering
@click.option("--now", type=int, help="the instant, in Unix ms")
@click.option("--rate", type=Number("100"), help="how fast time runs; 0 freezes it")
def clock_set(desk: Desk, now: int | None, rate: float | None) -> None:
    """Set the instant, or how fast time runs."""
    wanted = {name: value for name, value in (("now", now), ("rate", rate)) if value is not None}
    if not wanted:
        raise click.UsageError("expected --now or --rate")
    say(desk.call("POST", "clock", wanted))


@clock.command("freeze")
@steering
def clock_freeze(desk: Desk) -> None:
    """Stop the clock."""
    say(desk.call("POST", "clock", {"frozen": True}))


@clock.command("resume")
@steering
def clock_resume(desk: Desk) -> None:
    """Let the clock run again."""
    say(desk.call("POST", "clock", {"frozen": False}))


@click.command()
@steering
@click.option("--seed", type=int, help="the seed from now on")
def reset(desk: Desk, seed: int | None) -> None:
    """Begin anew: no tasks, balances, scenarios or journal."""
    say(desk.call("POST", "reset", {} if seed is None else {"seed": seed}))


@click.command()
@steering
@click.option("--state", help="only in this state")
@click.option("--text", help="only with this in an id, scenario or code")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def tasks(desk: Desk, **query: Any) -> None:
    """List tasks, the newest first."""
    say(desk.part("tasks", "tasks", **query))


@click.command()
@steering
@click.argument("task_id")
@click.option("--fail", "fail_code", help="with this failure code instead of success")
@click.option("--message", "fail_msg", help="the failure's message [default: the documented one]")
def finish(desk: Desk, task_id: str, fail_code: str | None, fail_msg: str | None) -> None:
    """End a task now."""
    body = {"failCode": fail_code, "failMsg": fail_msg}
    given = {name: value for name, value in body.items() if value is not None}
    say(desk.call("POST", f"tasks/{segment('the id of a task', task_id)}/finish", given))


@click.group(invoke_without_command=True)
@click.pass_context
def requests(context: click.Context) -> None:
    """Look at the journal of calls: `requests list`, `verify`, `har`."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@requests.command("list")
@steering
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--after", type=int, help="calls with a greater number [default: the latest ones]")
def requests_list(desk: Desk, **query: Any) -> None:
    """List calls with what decided them."""
    say(desk.part("requests", "requests", **query))


@requests.command("verify")
@steering
@click.argument("expectation")
def requests_verify(desk: Desk, expectation: str) -> None:
    """Hold the journal against EXPECTATION, a JSON text. Exit codes: 0 it is met, 1 it is not."""
    found = desk.call("POST", "requests/verify", json_value(expectation))
    tell(str(desk.part_of(found, "words")))
    sys.exit(0 if desk.part_of(found, "met") else FAILED)


@requests.command("har")
@steering
def requests_har(desk: Desk) -> None:
    """Write the journal as HAR 1.2."""
    say(desk.call("GET", "requests.har"))


@click.command()
@steering
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
def deliveries(desk: Desk, limit: int) -> None:
    """List callbacks, the newest first."""
    say(desk.part("deliveries", "deliveries", limit=limit))


@click.command()
@steering
@click.argument("task_id")
def redeliver(desk: Desk, task_id: str) -> None:
    """Send a task's callback again, now."""
    say(desk.call("POST", f"deliveries/{segment('the id of a task', task_id)}/redeliver"))


@click.command()
@steering
def accounts(desk: Desk) -> None:
    """List accounts with balance and limits."""
    say(desk.part("accounts", "accounts"))


@click.command("top-up")
@steering
@click.argument("account")
@click.argument("amount")
def top_up(desk: Desk, account: str, amount: str) -> None:
    """Add AMOUNT in USD to the balance of ACCOUNT: an id of `accounts`, or an API key."""
    say(desk.call("POST", "accounts/top-up", {"key": account, "amount": amount}))


@click.command()
@steering
def config(desk: Desk) -> None:
    """Show how the emulator behaves."""
    say(desk.call("GET", "config"))


@click.command()
@steering
def worlds(desk: Desk) -> None:
    """List the worlds that were used."""
    say(desk.part("worlds", "worlds"))


COMMANDS = (
    scenario, clock, reset, tasks, finish, requests, deliveries, redeliver, accounts, top_up,
    config, worlds,
)  # fmt: skip
