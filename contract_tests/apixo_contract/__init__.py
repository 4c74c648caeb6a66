"""The contract kit: checks any server of the API against the contract, and says how it drifted.

>>> from apixo_contract import verify
>>> report = verify("http://127.0.0.1:8787", "any-key")  # doctest: +SKIP
>>> report.exit_code  # doctest: +SKIP
0

It drives a target over HTTP, keeps what it saw, and judges only that. The oracle is
`apixo_schemas`; no code of the emulator is used. The command is `apixo-contract`, the pytest suite
`pytest --pyargs apixo_contract --apixo-target URL`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apixo_contract.checks import Check, catalogue
    from apixo_contract.observations import CallbackSeen, Exchange, Key, Picture, Purpose, Run
    from apixo_contract.options import Settings, Unreachable, UsageError, settle
    from apixo_contract.oracle import Expectation, expect, expect_text
    from apixo_contract.report.model import CheckResult, Example, Report, Verdict
    from apixo_contract.run import judge, observe, verify

# Where the names stand. Imported on first use: pytest imports this package in every run, and
# Hypothesis takes most of a second.
_MODULES = ("observations", "options", "oracle", "report.model", "checks", "run")

__all__ = [
    "CallbackSeen",
    "Check",
    "CheckResult",
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
    if name in __all__:
        for module in _MODULES:
            found = import_module(f"{__name__}.{module}")
            if hasattr(found, name):
                return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
