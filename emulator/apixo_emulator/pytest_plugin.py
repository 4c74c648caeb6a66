"""pytest fixtures for applications that call the API: ``apixo``, in process, and ``apixo_server``.

pytest loads this module at every start, so nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from apixo_emulator.extras import what_to_install

if TYPE_CHECKING:
    from apixo_emulator.testing import InProcess
    from apixo_emulator.testing.controls import Served
    from apixo_emulator.testing.interception import Setup
    from apixo_emulator.testing.routing import BaseUrl

_KEY_VARIABLE, _BASE_VARIABLE = "APIXO_API_KEY", "APIXO_BASE_URL"
# Always the same: tasks' ids derive from it.
_KEY = "sk-apixo-in-process"
_JOURNAL, _AUDIT = "--apixo-journal", "--apixo-audit"
_AUDIT_MODES = ("off", "warn", "fail")
_SECTION = "APIXO calls"
# A property of a test's report, which pytest-xdist brings to the process that prints the summary.
_PROPERTY = "apixo_audit"
_FIXTURES = ("apixo", "apixo_server")
_made: pytest.StashKey[dict[Setup, InProcess]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--apixo-journal`` and ``--apixo-audit``."""
    group = parser.getgroup("apixo")
    group.addoption(
        _JOURNAL,
        choices=("failed", "all", "none"),
        default="failed",
        help="of which tests the calls to the emulator are shown [default: %(default)s]",
    )
    group.addoption(
        _AUDIT,
        choices=_AUDIT_MODES,
        default="warn",
        help="what a passed test left behind that would cost money or lose a result: reported in the"
        " summary (warn), or the test fails [default: %(default)s]",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.stash[_made] = {}
    config.addinivalue_line(
        "markers",
        "apixo(scenario=…, seed=…, latency=…, …, audit=…): how the fixtures apixo and apixo_server"
        " start; the options are those of apixo_emulator.intercept, and audit is off, warn or fail",
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
    with _explained():
        from apixo_emulator.testing.interception import Setup, open_session
    from apixo_schemas import contract

    with _judged(request):
        setup = Setup.of(**_asked(request))
    if "apixo_server" in request.fixturenames:  # its time is real, for one client there is one time
        setup = replace(setup, patch_sleep=False)
    before, keys = _base_url_before(), setup.settings.api_key
    _set_environment(monkeypatch, keys[0] if keys else _KEY, contract().live_base_url)
    emulator = _emulator(request.config, setup)
    with open_session(emulator, also=before):
        yield emulator


def _set_environment(monkeypatch: pytest.MonkeyPatch, key: str, base_url: str) -> None:
    monkeypatch.setenv(_KEY_VARIABLE, key)
    monkeypatch.setenv(_BASE_VARIABLE, base_url)
    # Calls stay on this machine. Libraries refuse to make a client for a proxy that they cannot use,
    # unless no proxy is wanted at all.
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "*")


def _base_url_before() -> BaseUrl | None:
    """Return where calls went before the test, as code may have read the variable already."""
    from apixo_emulator.testing.routing import of_environment

    try:
        return of_environment()
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
    with _explained():
        from apixo_emulator.testing.controls import serving

    with serving() as served:
        yield served


@pytest.fixture
def apixo_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, _apixo_serving: Served
) -> Served:
    """Serve on a real port of this machine, ``base_url``: one for the session, reset for each test.

    Its clock runs in real time; a task takes 1.5 s unless the marker says otherwise.
    """
    with _judged(request):
        _apixo_serving.reset(**_asked(request))
    _set_environment(monkeypatch, _KEY, _apixo_serving.base_url)
    return _apixo_serving


@contextmanager
def _explained() -> Iterator[None]:
    """Fail the test with what to install, if the extra is missing that brings an imported library."""
    try:
        yield
    except ModuleNotFoundError as error:
        pytest.fail(
            f"the fixtures {' and '.join(_FIXTURES)} need {what_to_install(error, 'pytest')}",
            pytrace=False,
        )


@contextmanager
def _judged(request: pytest.FixtureRequest) -> Iterator[None]:
    """Name of which test a marker is whose options are wrong."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(f"{request.node.nodeid}: @pytest.mark.apixo: {error}") from None


def _asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the options of the test's markers but ``audit``; the nearest marker wins."""
    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("apixo"))):
        if mark.args:
            raise TypeError(
                f'expected options by name, such as scenario="SensitiveContent"; found {mark.args!r}'
            )
        options.update(mark.kwargs)
    mode = options.pop("audit", None)
    if mode not in (None, *_AUDIT_MODES):
        raise ValueError(f"audit: expected one of {', '.join(_AUDIT_MODES)}; found {mode!r}")
    return options


def _used(item: pytest.Item) -> dict[str, InProcess | Served]:
    """Return the emulators that a test uses, by fixture."""
    values = getattr(item, "funcargs", {})
    return {name: values[name] for name in _FIXTURES if name in values}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Look at what a test left behind, once it has passed."""
    result = yield
    marked = (mark.kwargs.get("audit") for mark in item.iter_markers("apixo"))
    mode = next(filter(None, marked), None) or item.config.getoption(_AUDIT)
    if mode != "off":
        found = [str(finding) for emulator in _used(item).values() for finding in emulator.audit()]
        if found and mode == "fail":
            pytest.fail("\n".join(["the test left behind:", *found]), pytrace=False)
        item.user_properties.extend((_PROPERTY, text) for text in found)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the calls of a test to its report."""
    report = yield
    wanted = item.config.getoption(_JOURNAL)
    if report.when == "call" and (wanted == "all" or (wanted == "failed" and report.failed)):
        for name, emulator in _used(item).items():
            report.sections.append((f"{_SECTION} ({name})", emulator.journal()))
    return report


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show what tests left behind, and the calls of passed ones where all are wanted."""
    passed = [report for report in terminalreporter.getreports("passed") if report.when == "call"]
    if config.getoption(_JOURNAL) == "all":  # pytest itself shows those of failed tests
        for report in passed:
            for title, text in report.sections:
                if title.startswith(_SECTION):
                    terminalreporter.write_sep("-", f"{report.nodeid}: {title}")
                    terminalreporter.write_line(text)
    found = [
        f"{report.nodeid}: {text}"
        for report in passed
        for name, text in report.user_properties
        if name == _PROPERTY
    ]
    if found:
        terminalreporter.write_sep("=", f"left behind ({_AUDIT}=off|warn|fail)", yellow=True)
        for line in found:
            terminalreporter.write_line(line)
