"""A real emulator and a real browser. Whatever a page writes to the console as an error fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from support.process import Running, running

from dashboard.browser import ADVICE, ARGUMENTS, found
from dashboard.desk import Desk, desk_of

# For what a page does by itself; on a busy machine it takes seconds.
_TIMEOUT_MS = 30_000
expect.set_options(timeout=_TIMEOUT_MS)


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    cwd = tmp_path_factory.mktemp("dashboard")
    with running("--ephemeral", "--latency", "1200", "--seed", "7", cwd=cwd) as server:
        yield server


@pytest.fixture
def desk(served: Running) -> Iterator[Desk]:
    """The emulator as at its start."""
    with desk_of(served) as found:
        found.steer("clock", rate=1)
        found.steer("reset")
        form = {"Origin": found.origin, "Content-Type": "application/x-www-form-urlencoded"}
        found.api.post(found.page("ui/inbox/clear"), headers=form).raise_for_status()
        yield found


# Not for the session: while Playwright is open its event loop runs, and no other test can have one.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = found()
    if path is None:
        pytest.fail(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def expected() -> list[str]:
    """What pages may complain of in the console; anything else fails the test."""
    return []


@pytest.fixture
def contexts(chromium: Browser, expected: list[str]) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.type}: {message.text} at {message.location}")

    size: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}

    def make(**options: Any) -> BrowserContext:
        context = chromium.new_context(**(size | options))
        context.set_default_timeout(_TIMEOUT_MS)
        context.on("console", heard)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
    assert [line for line in complaints if not any(part in line for part in expected)] == []


@pytest.fixture
def page(contexts: Callable[..., BrowserContext]) -> Page:
    return contexts().new_page()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core, which checks a page's accessibility."""
    return (Path(__file__).parent / "axe.min.js").read_text()
