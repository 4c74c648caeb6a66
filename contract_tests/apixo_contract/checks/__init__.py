"""The checks by topic: what each sends and how it is judged stand in one file.

Importing this package registers all of them.
"""

from apixo_contract.checks import (  # noqa: F401 - they register their checks
    assumptions,
    auth,
    callbacks,
    client,
    envelope,
    flaky,
    money,
    pictures,
    status,
    submit,
    tasks,
    times,
)
from apixo_contract.checks.check import Check, catalogue, results

__all__ = ["Check", "catalogue", "results"]
