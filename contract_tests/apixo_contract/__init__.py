"""The contract kit: holds any server of the API to the contract, and says how it drifted.

>>> from apixo_contract import verify
>>> report = verify("http://127.0.0.1:8787", "any-key")  # doctest: +SKIP
>>> report.exit_code  # doctest: +SKIP
0

It drives a target over HTTP, keeps what it saw, and judges that alone. The oracle is
`apixo_schemas`; no code of the emulator is used. The command is `apixo-contract`, the pytest suite
`pytest --pyargs apixo_contract --apixo-target URL`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apixo_contract._catalogue import CheckInfo, Cost, catalogue
    from apixo_contract._observations import CallbackSeen, Exchange, Key, Picture, Purpose, Run
    from apixo_contract._oracle import Expectation, expect, expect_text
    from apixo_contract._report import CheckResult, Example, Report, Verdict
    from apixo_contract._settings import Settings, Unreachable, UsageError
    from apixo_contract._verify import judge, observe, settle, verify

# Where each name stands. Read when it is asked for: pytest imports this package in every run, and
# Hypothesis takes most of a second.
_PLACES = {
    "_catalogue": ("CheckInfo", "Cost", "catalogue"),
    "_observations": ("CallbackSeen", "Exchange", "Key", "Picture", "Purpose", "Run"),
    "_oracle": ("Expectation", "expect", "expect_text"),
    "_report": ("CheckResult", "Example", "Report", "Verdict"),
    "_settings": ("Settings", "Unreachable", "UsageError"),
    "_verify": ("judge", "observe", "settle", "verify"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "CallbackSeen",
    "CheckInfo",
    "CheckResult",
    "Cost",
    "Example",
    "Exchange",
    "Expectation",
    "Key",
    "Picture",
    "Purpose",
    "Report",
    "Run",
    "Settings",
    "Unreachable",
    "UsageError",
    "Verdict",
    "catalogue",
    "expect",
    "expect_text",
    "judge",
    "observe",
    "settle",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
