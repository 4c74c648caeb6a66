"""What the tests of the journal share."""

from __future__ import annotations

from typing import Any

import pytest
from support.harness import SUBMIT, make_harness

from apixo_emulator.journal.entry import JournalEntry


@pytest.fixture
def send() -> Any:
    """Make a call and return its entry."""
    harness = make_harness()

    def sent(method: str = "POST", path: str = SUBMIT, **options: Any) -> JournalEntry:
        harness.extra = options.pop("headers", [])
        harness.call(method, path, **options)
        entry: JournalEntry = harness.operator.requests(after=harness.operator.last_number() - 1)[0]
        return entry

    return sent
