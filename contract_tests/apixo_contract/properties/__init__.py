"""Properties of the thin client, the same for the emulator, any server, and the live API.

Run them with ``pytest --pyargs apixo_contract.properties --apixo-target emulator|URL|live``, or by
`apixo-contract verify`. Each is a Hypothesis test in one of the files beside this one, and needs no code of
the target but its API; what only an emulator can do (faults, time) is tested in this process.
"""

from __future__ import annotations

from apixo_contract.properties.registry import ClientProperty, in_order
from apixo_contract.properties.target import Target, open_target

__all__ = [
    "ClientProperty",
    "Target",
    "all_properties",
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
