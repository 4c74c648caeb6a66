"""Fixtures of the properties; the options are those of `apixo_contract.pytest_plugin`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apixo_contract.options import OPTIONS, Unreachable, UsageError, settle
from apixo_contract.properties.expected import PRICE
from apixo_contract.properties.registry import PROPERTIES, in_order
from apixo_contract.properties.target import EMULATOR, Target, open_target
from apixo_contract.pytest_plugin import with_suite_names
from apixo_contract.run import check_target

_ROWS = pytest.StashKey[list[str]]()
_OPTIONS = (
    *("api_key", "image_url", "failing_image_url", "seed", "live"),
    *("callback_url", "callback_port", "examples"),
)


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"apixo_contract_{name}", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the properties that cost nothing first."""
    order = [found.test for found in in_order()]

    def place(item: pytest.Item) -> int:
        test: Any = getattr(item, "function", None)
        return order.index(test) if test in order else -1

    items.sort(key=place)


@pytest.fixture(scope="session")
def apixo_target(pytestconfig: pytest.Config) -> Iterator[Target]:
    """The target that the options name."""
    given = {name: _option(pytestconfig, name) for name in _OPTIONS}
    known = {option.field: option for option in OPTIONS}
    budget = _option(pytestconfig, "budget_usd")
    try:
        given = {
            name: known[name].read(value) if name in known else value
            for name, value in given.items()
            if value is not None
        }
        name = _option(pytestconfig, "base_url") or EMULATOR
        with open_target(name, budget=budget, **given) as target:
            if target.emulator is None:
                options = {"live": given.get("live"), "image_url": target.image_url}
                check_target(settle(target.base_url, target.api_key, options))
            yield target
    except (UsageError, Unreachable) as error:
        words = with_suite_names(str(error))
        pytest.exit(f"apixo-contract: {words}", returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture
def target(request: pytest.FixtureRequest, apixo_target: Target) -> Iterator[Target]:
    """The target, unless the property cannot be judged on it; what it took is printed at the end."""
    found = next(each for each in PROPERTIES.values() if each.test is request.function)
    if reason := found.obstacle(apixo_target):
        pytest.skip(with_suite_names(reason))
    examples, tasks = apixo_target.examples, apixo_target.budget.tasks
    yield apixo_target
    made, paid = apixo_target.examples - examples, apixo_target.budget.tasks - tasks
    row = f"{found.id:24} {made:5} examples {paid * PRICE:8.2f} USD"
    request.config.stash.setdefault(_ROWS, []).append(row)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the number of examples and the cost of each property."""
    rows = config.stash.get(_ROWS, [])
    if rows:
        terminalreporter.section("properties of the client")
        for row in rows:
            terminalreporter.write_line(row)
