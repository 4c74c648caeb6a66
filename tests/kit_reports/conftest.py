"""What several tests of reports start from."""

import pytest
from kit.stub import observed

from apixo_contract import Run


@pytest.fixture(scope="session")
def run() -> Run:
    """One run against a target that keeps the contract in words of its own."""
    return observed(examples=0)
