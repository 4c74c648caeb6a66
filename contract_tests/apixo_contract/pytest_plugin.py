"""The checks as a pytest suite: `pytest --pyargs apixo_contract --apixo-target URL`.

One test for each check of the catalogue, over one run against the target; see `test_contract`. This
module is imported in every run of pytest where the kit is installed, so it imports little.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apixo_contract.options import OPTIONS

if TYPE_CHECKING:
    from apixo_contract.observations import Run
    from apixo_contract.report.model import Report

# As `apixo-contract` exits if its extra is not installed.
_FAULT = 70
# Option, field of the run's settings, help.
_OPTIONS = (
    ("target", "base_url", "The API's address; for apixo_contract.properties also `live`."),
    ("key", "api_key", "The API key. Better: APIXO_API_KEY, which no process list shows."),
    *((known.name, known.field, known.text) for known in OPTIONS),
)
REPORT: pytest.StashKey[Report] = pytest.StashKey()
# What a run saw that Ctrl-C or an error has stopped.
STOPPED: pytest.StashKey[Run] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name the target and what a run may do there."""
    group = parser.getgroup("apixo_contract", "checking a server against APIXO's contract")
    for name, field, words in _OPTIONS:
        group.addoption(f"--apixo-{name}", dest=_dest(field), help=words)
    group.addoption(
        "--apixo-live",
        dest=_dest("live"),
        action="store_true",
        help="allow a target that is not this machine: it costs real money",
    )


def _dest(field: str) -> str:
    return f"apixo_contract_{field}"


def given_options(config: pytest.Config) -> dict[str, Any]:
    """Return what the options of the run say, by the field of its settings."""
    names = [*(field for _, field, _ in _OPTIONS), "live"]
    return {name: config.getoption(_dest(name)) for name in names}


def with_suite_names(words: str) -> str:
    """Return words with the names that the options of the command have in this suite."""
    names = {"api-key": "key", "base-url": "target", "live": "live"}
    names |= {known.name: known.name for known in OPTIONS}
    return re.sub(
        r"(?<!\S)--([a-z][a-z-]*)",
        lambda found: f"--apixo-{names[found[1]]}" if found[1] in names else found[0],
        words,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to run the suite without its extra, or spread over several processes.

    Raises:
        pytest.exit.Exception: Libraries are missing; the message says what to install.
        pytest.UsageError: An option must be left out.
    """
    asked = re.compile(r"apixo_contract(\W|$)")
    if any(asked.match(str(argument)) for argument in config.invocation_params.args):
        from apixo_contract.__main__ import missing_libraries, what_to_install

        if missing := missing_libraries():
            pytest.exit(what_to_install(missing), returncode=_FAULT)
    if config.getoption(_dest("base_url")) and config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            "the contract's tests are one run against the target, which every worker would repeat "
            "and pay for: leave out -n, or say -n 0"
        )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the properties of the client out, unless they are asked for: see its `conftest`."""
    is_ours = collection_path == Path(__file__).with_name("properties")
    return True if is_ours and not any("properties" in name for name in config.args) else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what the run showed beside the tests: its cost, assumptions, what is beyond the contract."""
    report, stopped = config.stash.get(REPORT, None), config.stash.get(STOPPED, None)
    if report is None and stopped is None:
        return
    from apixo_contract.report.model import Verdict
    from apixo_contract.report.render import beyond_line, cost_line
    from apixo_contract.run import unjudged

    lines = []
    if stopped is not None:
        lines.append(f"{stopped.target}: stopped after {cost_line(unjudged(stopped))}")
    if report is not None:
        lines += [f"REFUTED {r.source}: {r.evidence}" for r in report.of(Verdict.REFUTED)]
        lines += [f"BEYOND THE CONTRACT {beyond_line(found)}" for found in report.beyond]
        lines += report.remarks
        confirmed, refuted = (report.counts[v] for v in (Verdict.CONFIRMED, Verdict.REFUTED))
        lines.append(
            f"{report.target}: {confirmed} assumptions confirmed, {refuted} refuted; {cost_line(report)}"
        )
    terminalreporter.section("apixo-contract")
    for line in lines:
        terminalreporter.write_line(line)
