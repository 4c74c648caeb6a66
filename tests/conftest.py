"""Fixtures of all tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.harness import close_all

# A deadline is a timed assertion, and a busy machine is no failure.
settings.register_profile("emulator", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("emulator")


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(scope="session")
def rocket() -> Path:
    """A photograph in the public domain, 640 by 427 pixels."""
    return Path(__file__).parent / "data" / "rocket.jpg"
