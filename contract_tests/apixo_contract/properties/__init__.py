"""Properties of the thin client, the same for the emulator, any server, and the live API.

Run them with ``pytest --pyargs apixo_contract.properties --apixo-target emulator|URL|live``, or by
`check_client`. Each is a Hypothesis test in one of the files beside this one, and needs no code of
the target but its API; what only an emulator can do (faults, time) is tested in this process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from apixo_contract.properties.registry import ClientProperty, PropertyResult, in_order
from apixo_contract.properties.target import Target, open_target

__all__ = [
    "ClientProperty",
    "PropertyResult",
    "Target",
    "all_properties",
    "check_client",
    "open_target",
]


def all_properties() -> list[ClientProperty]:
    """Return all properties, those that cost nothing first."""
    from apixo_contract.properties import (  # noqa: F401 - they register what they define
        test_faults,
        test_results,
        test_sessions,
        test_submits,
        test_tasks,
    )

    return in_order()


def check_client(
    name: str, *, tell: Callable[[str], object] = lambda _words: None, **options: Any
) -> list[PropertyResult]:
    """Judge every property of the client on a target, those that cost nothing first.

    Args:
        name: ``emulator``, ``live``, or a base URL.
        tell: Gets words about what happens.
        options: Those of `open_target`, such as ``api_key``, ``budget`` and ``examples``.

    Raises:
        UsageError: The target may not be used so; the message says what to give.
    """
    with open_target(name, **options) as target:
        results = []
        for found in all_properties():
            tell(found.title)
            results.append(found.judge(target))
        return results
