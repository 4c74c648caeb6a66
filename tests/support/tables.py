"""The tables of the documentation, generated from the code. Run this module to write them again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import click

from apixo_contract.cli import EXIT_CODES
from apixo_contract.cli import main as kit
from apixo_emulator.certify.client_cases import ClientCase, client_cases
from apixo_emulator.certify.receiver_cases import ReceiverCase, receiver_cases
from apixo_emulator.cli import main
from apixo_emulator.config_file import CONFIG_VARIABLE
from apixo_emulator.scenarios.vocabulary import vocabulary
from apixo_emulator.settings import OPTIONS
from apixo_schemas import contract, sources

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BENCHMARK = ROOT / "benchmarks" / "results" / "latest.json"
_SHARE = ", of the limit by CPU time"
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
    return _table(["behaviour", "grade", "source"], rows)


def assumptions() -> str:
    rows = [
        [f"{entry.question} {entry.choice}.", f"`{entry.id}`"]
        for entry in contract().assumptions.values()
    ]
    return _table(["question and choice", "id"], rows)


def known_sources() -> str:
    rows = [
        [entry.title, entry.sentence, f"{entry.publication}, {entry.date}"]
        for entry in sources().values()
        if entry.grade != "assumed"  # these stand in the table of assumptions
    ]
    return _table(["source", "what it says", "publication, day"], rows)


def options() -> str:
    rows = []
    for option in OPTIONS.values():
        flags = ", ".join(f"`{flag}`" for flag in (option.flag, option.short) if flag)
        env = ", ".join(f"`{name}`" for name in option.variables)
        default = f" [default: {option.default}]" if option.default else ""
        rows.append([flags, env, (option.help + default).replace("|", "\\|")])
    config = next(option for option in main.commands["serve"].params if option.name == "config")
    assert isinstance(config, click.Option)
    rows.append([f"`{config.opts[0]}`", f"`{CONFIG_VARIABLE}`", config.help or ""])
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
    return f"`apixo-contract verify`:\n\n{table}"


def _certify_cases(cases: Sequence[ReceiverCase | ClientCase]) -> str:
    return _table(["case", "what happens"], [[f"`{case.id}`", case.title] for case in cases])


def speed() -> str:
    """Return the chart and the ratios of the last `make bench`, and nothing before the first."""
    if not BENCHMARK.exists():
        return ""
    measured = json.loads(BENCHMARK.read_text("utf-8"))
    shares: dict[str, list[str]] = {}
    for figure in measured["throughput"]:
        _, _, server = figure["title"].partition(": ")
        if server.endswith(_SHARE) and figure["rounds"]:
            shares.setdefault(server.removesuffix(_SHARE), []).append(
                f"{median(figure['rounds']):.2f}"
            )
    table = _table(["server", "polls", "submits"], [[name, *row] for name, row in shares.items()])
    return (
        "![Requests a second](benchmarks/results/chart.svg)\n\nHow many requests a server answers in the"
        " processor time in which a raw ASGI callable, which does nothing, answers one"
        f" ({measured['machine']['cpu']}):\n\n{table}"
    )


TABLES: dict[str, Callable[[], str]] = {
    "scenarios": scenarios,
    "behaviour": behaviour,
    "assumptions": assumptions,
    "sources": known_sources,
    "options": options,
    "kit_exit_codes": kit_exit_codes,
    "kit_options": kit_options,
    "receiver_cases": lambda: _certify_cases(receiver_cases()),
    "speed": speed,
    "client_cases": lambda: _certify_cases(client_cases()),
}


def filled(text: str) -> str:
    """Return the page with its tables as they should be."""
    return _SLOT.sub(lambda slot: slot[1] + TABLES[slot[2]]() + slot[3], text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
