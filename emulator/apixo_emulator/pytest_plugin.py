"""pytest fixtures for applications that call the API: ``apixo``, in process, and ``apixo_server``.

pytest loads this module at every start, so nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from apixo_emulator.testing import InProcess
    from apixo_emulator.testing.served import Served
    from apixo_emulator.testing.setup import Setup

_KEY_VARIABLE, _BASE_VARIABLE = "APIXO_API_KEY", "APIXO_BASE_URL"
# Always the same: tasks' ids derive from it.
_KEY = "sk-apixo-in-process"
_OPTION = "--apixo-journal"
_SECTION = "APIXO calls"
_FIXTURES = ("apixo", "apixo_server")
_made: pytest.StashKey[dict[Setup, InProcess]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--apixo-journal``."""
    parser.getgroup("apixo").addoption(
        _OPTION,
        choices=("failed", "all", "none"),
        default="failed",
        help="of which tests the calls to the emulator are shown [default: %(default)s]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.stash[_made] = {}
    config.addinivalue_line(
        "markers",
        "apixo(scenario=…, seed=…, latency=…, …): how the fixtures apixo and apixo_server start;"
        " the options are those of apixo_emulator.intercept",
    )


def pytest_unconfigure(config: pytest.Config) -> None:
    """Release what was made."""
    for emulator in config.stash.get(_made, {}).values():
        emulator.close()


@pytest.fixture
def apixo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    """Answer every call to the API in process, without a port and without waiting.

    The clock stands until the test, the sleeping of code that has called the API, or a poll in vain
    moves it. ``Apixo()`` works: key and base URL are set. The marker ``apixo`` takes the options of
    `apixo_emulator.intercept`.
    """
    from apixo_emulator.testing.interception import close_session, open_session
    from apixo_emulator.testing.routing import BaseUrls
    from apixo_emulator.testing.setup import Setup
    from apixo_schemas import contract

    with _judged(request):
        options = _asked(request)
        base_urls = BaseUrls(options.pop("base_url", ()), also=_base_url_before())
        setup = Setup.of(**options)
    keys = setup.settings.api_key
    monkeypatch.setenv(_KEY_VARIABLE, keys[0] if keys else _KEY)
    monkeypatch.setenv(_BASE_VARIABLE, contract().live_base_url)
    emulator = _emulator(request.config, setup)
    session = open_session(emulator, base_urls)
    yield emulator
    close_session(session)


def _base_url_before() -> str | None:
    """Return where calls went before the test, as code may have read the variable already."""
    from apixo_emulator.testing.routing import base_url_of

    before = os.environ.get(_BASE_VARIABLE)
    try:
        return base_url_of(before).url if before else None
    except ValueError as error:
        raise pytest.UsageError(f"environment variable {_BASE_VARIABLE}: {error}") from None


def _emulator(config: pytest.Config, setup: Setup) -> InProcess:
    """Make one for each set of options, and reset it for each test: that is quicker."""
    made = config.stash[_made]
    if setup in made:
        made[setup].reset()
    else:
        from apixo_emulator.testing import InProcess

        made[setup] = InProcess(setup)
    return made[setup]


@pytest.fixture(scope="session")
def _apixo_serving() -> Iterator[Served]:
    from apixo_emulator.testing.served import serving

    with serving() as served:
        yield served


@pytest.fixture
def apixo_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _apixo_serving: Served
) -> Served:
    """Serve on a real port of this machine, ``base_url``: one for the session, reset for each test.

    Its clock runs as everybody's does; a task takes 1.5 s unless the marker says otherwise.
    """
    with _judged(request):
        _apixo_serving.reset(**_asked(request))
    monkeypatch.setenv(_KEY_VARIABLE, _KEY)
    monkeypatch.setenv(_BASE_VARIABLE, _apixo_serving.base_url)
    return _apixo_serving


@contextmanager
def _judged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Say of which test a marker is that asks for what there is not."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{request.node.nodeid}: @pytest.mark.apixo: {error}") from None


def _asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give what the test's markers ask for; the nearest one wins."""
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("apixo"))):
        if mark.args:
            raise TypeError(
                f'expected options by name, such as scenario="SensitiveContent"; found {mark.args!r}'
            )
        options.update(mark.kwargs)
    return options


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the calls of a test into its report."""
    report = yield
    wanted = item.config.getoption(_OPTION)
    if report.when == "call" and (wanted == "all" or (wanted == "failed" and report.failed)):
        used = getattr(item, "funcargs", {})
        for name in _FIXTURES:
            if name in used:
                report.sections.append((f"{_SECTION} ({name})", used[name].journal()))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show the calls of tests that passed, where all are wanted: pytest shows the others'."""
    if config.getoption(_OPTION) != "all":
        return
    for report in terminalreporter.getreports("passed"):
        for title, text in report.sections:
            if title.startswith(_SECTION):
                terminalreporter.write_sep("-", f"{report.nodeid}: {title}")
                terminalreporter.write_line(text)
