"""The README's tables, made from what they describe. Run it to write them anew."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import click

from apixo_contract._exits import EXIT_CODES
from apixo_contract.cli import main as kit
from apixo_emulator.cli import main
from apixo_emulator.domain.deliveries import DELIVERY_TRANSITIONS
from apixo_emulator.domain.states import TRANSITIONS
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_emulator.settings import Settings
from apixo_schemas import Grade, contract, sources

README = Path(__file__).parents[2] / "README.md"
_SLOT = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def scenarios() -> str:
    rows = [[f"`{entry.name}`", entry.effect] for entry in vocabulary()]
    return _table(["scenario", "effect"], rows)


def behaviour() -> str:
    terms = contract()
    rows = [
        [f"{rule.condition}: `{rule.message}`", rule.grade, rule.source] for rule in terms.rules
    ]
    rows += [
        [f"{entry.status} `{entry.message}`", entry.grade, entry.source]
        for entry in terms.errors.values()
    ]
    choices = [
        [f"{entry.question} {entry.choice}.", "assumed", f"`{entry.id}`"]
        for entry in terms.assumptions.values()
    ]
    details = _table(["question and choice", "grade", "id"], choices)
    known = [entry for entry in sources().values() if entry.grade is not Grade.ASSUMED]
    cited = _table(
        ["source", "what it states", "publication"],
        [[entry.title, entry.sentence, entry.publication] for entry in known],
    )
    return (
        _table(["behaviour", "grade", "source"], rows)
        + f"\n<details><summary>All {len(choices)} assumptions</summary>\n\n{details}\n</details>\n"
        + f"\n<details><summary>All {len(known)} sources</summary>\n\n{cited}\n</details>\n"
    )


def states() -> str:
    rows = [
        [f"`{state}`", ", ".join(f"{event} → `{after}`" for event, after in row.items()) or "final"]
        for state, row in TRANSITIONS.items()
    ]
    return _table(["state", "what can happen"], rows)


def deliveries() -> str:
    rows = [
        [f"`{state}`", ", ".join(f"{event} → `{after}`" for event, after in row.items())]
        for state, row in DELIVERY_TRANSITIONS.items()
    ]
    return _table(["state", "what can happen"], rows)


def options() -> str:
    rows = []
    for entry in fields(Settings):
        notes = entry.metadata
        if not notes:
            continue  # from the config file only
        flags = ", ".join(f"`{flag}`" for flag in notes["flags"])
        env = ", ".join(f"`{name}`" for name in notes["env"])
        default = "" if entry.default in (None, (), False) else f" [default: {entry.default}]"
        meaning = (notes["text"] + default).replace("|", "\\|")
        rows.append([flags, env, meaning])
    config = next(option for option in main.commands["serve"].params if option.name == "config")
    assert isinstance(config, click.Option)
    rows.append([f"`{config.opts[0]}`", f"`{config.envvar}`", config.help or ""])
    return _table(["flag", "environment", "meaning"], rows)


def kit_exit_codes() -> str:
    return _table(
        ["exit code", "meaning"], [[str(code), words] for code, words in EXIT_CODES.items()]
    )


def kit_options() -> str:
    rows = []
    for option in kit.commands["verify"].params:
        assert isinstance(option, click.Option)
        default = f" [default: {option.default}]" if option.show_default else ""
        rows.append([f"`{option.opts[0]}`", f"{option.help}{default}"])
    table = _table(["option", "meaning"], rows)
    return f"<details><summary>All options of `apixo-contract verify`</summary>\n\n{table}\n</details>\n"


TABLES: dict[str, Callable[[], str]] = {
    "scenarios": scenarios,
    "behaviour": behaviour,
    "states": states,
    "deliveries": deliveries,
    "options": options,
    "kit_exit_codes": kit_exit_codes,
    "kit_options": kit_options,
}


def filled(text: str) -> str:
    """The README with its tables as they should be."""
    return _SLOT.sub(lambda slot: slot[1] + TABLES[slot[2]]() + slot[3], text)


if __name__ == "__main__":
    README.write_text(filled(README.read_text("utf-8")), "utf-8")
