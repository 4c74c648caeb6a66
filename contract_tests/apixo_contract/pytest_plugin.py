"""The checks as a pytest suite: `pytest --pyargs apixo_contract --apixo-target URL`.

One test for each check of the catalogue, over one run against the target. This module is imported
in every pytest run of an environment that has the kit, so it imports the kit itself late.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from apixo_contract._observations import Run
    from apixo_contract._report import CheckResult, Report

_SUITE = "apixo_contract.test_contract"
# Option, parameter of `apixo_contract.verify`, how to read it, help.
_OPTIONS: tuple[tuple[str, str, Any, str], ...] = (
    ("target", "base_url", str, "the API's address; for apixo_contract.properties also `live`"),
    ("key", "api_key", str, "the API key; better: APIXO_API_KEY"),
    ("image-url", "image_url", str, "a picture that the target can fetch and enlarge"),
    ("failing-image-url", "failing_image_url", str, "a source that makes a task fail"),
    ("budget-usd", "budget_usd", str, "the most that the run may cost (0.10)"),
    ("max-wait", "max_wait", float, "seconds to wait for a task (180)"),
    ("poll-interval", "poll_interval", float, "seconds between two polls of a task"),
    ("callback-host", "callback_host", str, "this machine as the target reaches it"),
    ("callback-url", "callback_url", str, "a public URL that leads to the callback port"),
    ("callback-port", "callback_port", int, "where to listen for callbacks (a free port)"),
    ("seed", "seed", int, "the same seed sends the same bodies"),
)
_REPORT = pytest.StashKey["Report"]()
# What was seen by a run that Ctrl-C or an error has stopped.
_STOPPED = pytest.StashKey["Run"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that name the target and what a run may do there."""
    group = parser.getgroup("apixo_contract", "holding a server to APIXO's contract")
    for name, parameter, kind, words in _OPTIONS:
        group.addoption(f"--apixo-{name}", dest=_dest(parameter), type=kind, help=words)
    group.addoption(
        "--apixo-live",
        dest=_dest("live"),
        action="store_true",
        help="allow a target that is not this machine: it costs real money",
    )


def _dest(parameter: str) -> str:
    return f"apixo_contract_{parameter}"


def _given(config: pytest.Config) -> dict[str, Any]:
    names = [*(parameter for _, parameter, _, _ in _OPTIONS), "live"]
    found = {name: config.getoption(_dest(name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _with_our_names(words: str) -> str:
    """Give words that name options of the command with the names that they have here."""
    names = {"--api-key": "--apixo-key", "--base-url": "--apixo-target"}
    return re.sub(
        r"(?<!\S)--[a-z][a-z-]*",
        lambda found: names.get(found[0], f"--apixo-{found[0].removeprefix('--')}"),
        words,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to spread the suite over several processes.

    Raises:
        pytest.UsageError: An option must be left out.
    """
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
        from apixo_contract._catalogue import catalogue

        metafunc.parametrize("check_id", list(catalogue()))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse to run the suite without a target.

    Raises:
        pytest.UsageError: An option must be given.
    """
    if not any(_is_ours(item) for item in items):
        return
    if not config.getoption(_dest("base_url")):
        raise pytest.UsageError(
            "the contract's tests need a target: add --apixo-target URL, such as "
            "http://127.0.0.1:8787, and the key as --apixo-key or APIXO_API_KEY"
        )


def _is_ours(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and getattr(item.module, "__name__", "") == _SUITE


@pytest.fixture(scope="session")
def contract_report(pytestconfig: pytest.Config) -> Report:
    """The report on the target, made once in a session."""
    from apixo_contract._settings import Unreachable, UsageError
    from apixo_contract._verify import verify

    def stopped(run: Run) -> None:
        pytestconfig.stash[_STOPPED] = run

    try:
        report = verify(**_given(pytestconfig), stopped=stopped)
    except UsageError as error:
        words = _with_our_names(str(error))
        pytest.exit(f"apixo-contract: {words}", returncode=pytest.ExitCode.USAGE_ERROR)
    except Unreachable as error:
        pytest.exit(f"apixo-contract: {error}", returncode=pytest.ExitCode.INTERNAL_ERROR)
    pytestconfig.stash[_REPORT] = report
    return report


@pytest.fixture
def check_result(check_id: str, contract_report: Report) -> CheckResult:
    """What came of one check."""
    return next(result for result in contract_report.results if result.id == check_id)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what came of the run, beside the tests."""
    if stopped := config.stash.get(_STOPPED, None):
        _tell_cost(terminalreporter, stopped)
    if report := config.stash.get(_REPORT, None):
        _tell_assumptions(terminalreporter, report)


def _tell_cost(terminalreporter: pytest.TerminalReporter, stopped: Run) -> None:
    from apixo_contract._reporting import cost_line
    from apixo_contract._verify import unjudged

    terminalreporter.section(f"apixo-contract: {stopped.target}")
    terminalreporter.write_line(f"stopped after {cost_line(unjudged(stopped))}")


def _tell_assumptions(terminalreporter: pytest.TerminalReporter, report: Report) -> None:
    """Say what the assumptions turned out to be: refuted ones are no failures."""
    from apixo_contract._report import Verdict

    terminalreporter.section(f"apixo-contract: {report.target}")
    for result in report.of(Verdict.REFUTED):
        terminalreporter.write_line(f"REFUTED {result.source}: {result.evidence}")
    terminalreporter.write_line(
        f"{report.counts[Verdict.CONFIRMED]} assumptions confirmed, "
        f"{report.counts[Verdict.REFUTED]} refuted; cost at most ${report.spent_usd}, "
        f"seed {report.seed}"
    )
