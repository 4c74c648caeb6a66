"""Fixtures of all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.harness import close_all


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(scope="session")
def rocket() -> Path:
    """A photograph in the public domain, 640 by 427 pixels."""
    return Path(__file__).parent / "data" / "rocket.jpg"
