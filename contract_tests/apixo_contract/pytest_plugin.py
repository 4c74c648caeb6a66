"""The checks as a pytest suite: `pytest --pyargs apixo_contract --apixo-target URL`.

One test for each check of the catalogue, over one run against the target. This module is imported
in every pytest run of an environment that has the kit, so it imports the kit itself late.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apixo_contract.options import OPTIONS

if TYPE_CHECKING:
    from apixo_contract.observations import Run
    from apixo_contract.report.model import CheckResult, Report

_SUITE = "apixo_contract.test_contract"
# As `apixo-contract` exits if its extra is not installed.
_FAULT = 70
# Option, field of the run's settings, help.
_OPTIONS = (
    ("target", "base_url", "The API's address; for apixo_contract.properties also `live`."),
    ("key", "api_key", "The API key. Better: APIXO_API_KEY, which no process list shows."),
    *((known.name, known.field, known.text) for known in OPTIONS),
)
_REPORT = pytest.StashKey["Report"]()
# What a run saw that Ctrl-C or an error has stopped.
_STOPPED = pytest.StashKey["Run"]()


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


def _given(config: pytest.Config) -> dict[str, Any]:
    names = [*(field for _, field, _ in _OPTIONS), "live"]
    return {name: config.getoption(_dest(name)) for name in names}


def _with_suite_names(words: str) -> str:
    """Return words with the names that the options of the command have in this suite."""
    names = {"--api-key": "--apixo-key", "--base-url": "--apixo-target"}
    return re.sub(
        r"(?<!\S)--(?!apixo-)[a-z][a-z-]*",
        lambda found: names.get(found[0], f"--apixo-{found[0].removeprefix('--')}"),
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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test for each check."""
    if getattr(metafunc.module, "__name__", "") == _SUITE:
        from apixo_contract.checks import catalogue

        metafunc.parametrize("check_id", list(catalogue()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run the suite without a target.

    Raises:
        pytest.UsageError: An option must be given.
    """
    if any(map(_is_ours, items)) and not config.getoption(_dest("base_url")):
        raise pytest.UsageError(
            "the contract's tests need a target: add --apixo-target URL, such as "
            "http://127.0.0.1:8787, and the key as --apixo-key or APIXO_API_KEY"
        )


def _is_ours(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and getattr(item.module, "__name__", "") == _SUITE


@pytest.fixture(scope="session")
def contract_report(pytestconfig: pytest.Config) -> Report:
    """The report on the target, made once in a session."""
    from apixo_contract.options import Unreachable, UsageError, settle
    from apixo_contract.run import judge, observe

    def stopped(run: Run) -> None:
        pytestconfig.stash[_STOPPED] = run

    given = _given(pytestconfig)
    try:
        settings = settle(given.pop("base_url"), given.pop("api_key"), given)
        report = judge(observe(settings, stopped=stopped))
    except UsageError as error:
        words = _with_suite_names(str(error))
        pytest.exit(f"apixo-contract: {words}", returncode=pytest.ExitCode.USAGE_ERROR)
    except Unreachable as error:
        pytest.exit(f"apixo-contract: {error}", returncode=pytest.ExitCode.INTERNAL_ERROR)
    pytestconfig.stash[_REPORT] = report
    return report


@pytest.fixture
def check_result(check_id: str, contract_report: Report) -> CheckResult:
    """The result of one check, its reason with the option names of this suite."""
    from dataclasses import replace

    found = next(result for result in contract_report.results if result.id == check_id)
    return replace(found, evidence=_with_suite_names(found.evidence))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what the run showed beside the tests: its cost, assumptions, what is beyond the contract."""
    if stopped := config.stash.get(_STOPPED, None):
        from apixo_contract.report.render import cost_line
        from apixo_contract.run import unjudged

        terminalreporter.section(f"apixo-contract: {stopped.target}")
        terminalreporter.write_line(f"stopped after {cost_line(unjudged(stopped))}")
    if report := config.stash.get(_REPORT, None):
        _tell(terminalreporter, report)


def _tell(terminalreporter: pytest.TerminalReporter, report: Report) -> None:
    from apixo_contract.report.model import Verdict
    from apixo_contract.report.render import beyond_line

    terminalreporter.section(f"apixo-contract: {report.target}")
    for result in report.of(Verdict.REFUTED):
        terminalreporter.write_line(f"REFUTED {result.source}: {result.evidence}")
    for found in report.beyond:
        terminalreporter.write_line(f"BEYOND THE CONTRACT {beyond_line(found)}")
    for remark in report.remarks:
        terminalreporter.write_line(remark)
    terminalreporter.write_line(
        f"{report.counts[Verdict.CONFIRMED]} assumptions confirmed, "
        f"{report.counts[Verdict.REFUTED]} refuted; cost at most ${report.spent_usd}, "
        f"seed {report.seed}"
    )
