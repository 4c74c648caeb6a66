"""Fixtures of all tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.harness import close_all
from support.postgres import Server, empty_schema, own_server

# A deadline is a timed assertion, and a busy machine is no failure.
settings.register_profile("emulator", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# For `make check`; tests that say how many examples they need keep to that.
settings.register_profile("quick", settings.get_profile("emulator"), max_examples=20)
settings.load_profile("emulator")

# An authority of no one: every httpx client would read all public ones, which takes 40 ms.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "data" / "authority.pem")


@pytest.fixture(autouse=True)
def _closed_afterwards() -> Iterator[None]:
    yield
    close_all()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server for all tests; one that stops it starts it again."""
    with own_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL of a schema in which a store finds nothing."""
    with empty_schema(postgres_server.url) as url:
        yield url


@pytest.fixture(scope="session")
def rocket() -> Path:
    """A photograph in the public domain, 640 by 427 pixels."""
    return Path(__file__).parent / "data" / "rocket.jpg"
