"""`certify-client`: correct clients pass every case, each defect fails the case that describes it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certify.clients import DEFECTIVE, Client

from apixo_emulator.certify.client import ClientCertifier, accounts_config
from apixo_emulator.certify.client_cases import client_cases
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Result, Verdict

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("clients.py")
# The project's own client; it polls and repeats faster than it does by default, so that the test is quick.
OWN_CLIENT = """
import os
from apixo_client import Apixo, ApixoError, Pace, RetryPolicy
retry = RetryPolicy(attempts=5, base_s=0.5, cap_s=2)
with Apixo(pace=Pace.every(0.2), retry=retry) as apixo:
    try:
        result = apixo.upscale("https://example.com/in.jpg", resolution="2k", timeout=15)
        result.download(os.path.join(os.environ["APIXO_OUTPUT_DIR"], "out.jpg"))
    except ApixoError as error:
        raise SystemExit(f"{type(error).__name__}: {error}")
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[OwnEmulator]:
    config = "".join(accounts_config(client_cases(), name) for name in ("own", "apixo_client"))
    with own_emulator(0, ["--world-per-key", "--seed", "1"], config=config) as emulator:
        yield emulator


def certified(
    emulator: OwnEmulator,
    name: str,
    command: list[str],
    timeout_s: float,
    ids: set[str] | None = None,
) -> dict[str, Result]:
    cases = [case for case in client_cases() if ids is None or case.id in ids]
    certifier = ClientCertifier(command, emulator, timeout_s, name=name)
    results = asyncio.run(certifier.run(cases, 6, lambda _: None))
    return {result.id: result for result in results}


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("own", [sys.executable, str(PROGRAM)]),
        ("apixo_client", [sys.executable, "-c", OWN_CLIENT]),
    ],
)
def test_a_correct_client_passes_every_case(
    name: str, command: list[str], emulator: OwnEmulator
) -> None:
    results = certified(emulator, name, command, timeout_s=60)
    assert len(results) == len(client_cases())
    found = {each.id: each.why for each in results.values() if each.verdict is not Verdict.PASS}
    # Both poll every 0.2 s so that the test is quick; the page recommends more.
    assert found.pop("states.ordinary").startswith("expected the first poll 10 s after")
    assert found == {}


@pytest.mark.parametrize("defect", DEFECTIVE, ids=lambda defect: defect.__name__)
def test_a_defect_fails_the_case_that_describes_it(
    defect: type[Client], emulator: OwnEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECT", defect.__name__)
    name = defect.__name__
    command = [sys.executable, str(PROGRAM)]
    found = certified(emulator, name, command, timeout_s=14, ids={defect.case})[defect.case]
    assert found.verdict.value == defect.verdict, found.findings
    assert found.why
