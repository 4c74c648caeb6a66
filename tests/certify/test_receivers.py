"""`certify-receiver`: a correct receiver passes every case, each defect fails the case that describes it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from certify.receivers import DEFECTIVE, Receiver

from apixo_emulator.certify.cli import ANY_KEY
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Result, Verdict
from apixo_emulator.certify.receiver import ReceiverCertifier
from apixo_emulator.certify.receiver_cases import receiver_cases

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulator() -> Iterator[OwnEmulator]:
    with own_emulator(0, ["--latency", "0", "--seed", "1"], profile=ANY_KEY) as emulator:
        yield emulator


@contextmanager
def serving(receiver: Receiver) -> Iterator[str]:
    """Serve a receiver on a free port; the port is bound before the thread starts."""
    config = uvicorn.Config(receiver.app, port=0, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    listener = config.bind_socket()
    listener.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
    finally:
        server.should_exit = True
        thread.join()
        receiver.close()


def certified(make: type[Receiver], emulator: OwnEmulator, *ids: str) -> dict[str, Result]:
    cases = [case for case in receiver_cases() if not ids or case.id in ids]
    with serving(make(emulator.base_url)) as url:
        certifier = ReceiverCertifier(url, emulator)
        results = asyncio.run(certifier.run(cases, 4, lambda _: None))
    return {result.id: result for result in results}


def test_a_correct_receiver_passes_every_case(emulator: OwnEmulator) -> None:
    results = certified(Receiver, emulator)
    assert len(results) == len(receiver_cases())
    assert {
        each.id: each.why for each in results.values() if each.verdict is not Verdict.PASS
    } == {}


@pytest.mark.parametrize("defect", DEFECTIVE, ids=lambda defect: defect.__name__)
def test_a_defect_fails_the_case_that_describes_it(
    defect: type[Receiver], emulator: OwnEmulator
) -> None:
    # `success` runs first: it tells whether downloads can be observed.
    found = certified(defect, emulator, "success", defect.case)[defect.case]
    assert found.verdict.value == defect.verdict, found.findings
    assert found.why
