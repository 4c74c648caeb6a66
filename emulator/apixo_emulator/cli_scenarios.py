"""The commands that ask a running emulator for scenarios."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from apixo_emulator.cli_desk import USAGE, Desk, end, say, steering
from apixo_emulator.cli_values import Number, segment


@click.group()
def scenario() -> None:
    """Make the next tasks fail, linger or misbehave."""


@scenario.command("add")
@steering
@click.argument("names", nargs=-1)
@click.option("--times", type=click.IntRange(min=1), help="for so many calls [default: 1]")
@click.option("--always", is_flag=True, help="until removed")
@click.option("--image-url", help="only for image URLs like this; * stands for anything")
@click.option("--resolution", help="only for this resolution")
@click.option("--format", "output_format", help="only for this output format")
@click.option("--match-key", help="only for API keys like this; --key is whose world it is")
@click.option(
    "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="only with this header"
)
@click.option("--call", "calls", type=int, multiple=True, help="only for the n-th call that fits")
@click.option("--probability", type=Number("0.1"), help="only for this share of calls, such as 0.1")
@click.option(
    "--file", "path", type=click.Path(path_type=Path, exists=True), help="add a rule file's rules"
)
def scenario_add(desk: Desk, names: tuple[str, ...], path: Path | None, **given: Any) -> None:
    """Ask for scenarios by NAMES, for the next call unless told otherwise."""
    if bool(names) == bool(path):
        raise click.UsageError("expected names of scenarios (see `scenario names`), or --file")
    for rule in _file_rules(path) if path else [_rule(names, **given)]:
        say(desk.call("POST", "scenarios", rule))


def _file_rules(path: Path) -> list[Mapping[str, Any]]:
    from apixo_emulator.scenario_file import load_rules
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
            raise click.BadParameter(f"expected 'NAME: VALUE', found {line!r}")
        if name.lower() in patterns:
            raise click.BadParameter(f"expected each header once, found {name} twice")
        patterns[name.lower()] = pattern
    return patterns


@scenario.command("list")
@steering
def scenario_list(desk: Desk) -> None:
    """Show the active rules and how often each was used."""
    say(desk.part("rules", "scenarios"))


@scenario.command("names")
def scenario_names() -> None:
    """Show all names with what they do."""
    from apixo_emulator.scenarios.vocabulary import vocabulary

    entries = vocabulary()
    width = max(len(entry.name) for entry in entries)
    for entry in entries:
        click.echo(f"{entry.name:<{width}}  {entry.effect}")


@scenario.command("clear")
@steering
@click.argument("rule_id", required=False)
def scenario_clear(desk: Desk, rule_id: str | None) -> None:
    """Remove one rule by its id, or all."""
    path = "scenarios" if rule_id is None else f"scenarios/{segment('the id of a rule', rule_id)}"
    say(desk.call("DELETE", path))
