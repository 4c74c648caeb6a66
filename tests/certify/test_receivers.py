"""`certify-receiver`: a correct receiver passes every case, each defect fails the case that describes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from certify.receivers import DEFECTIVE, Receiver, serving

from apixo_emulator.certify.cli import ANY_KEY
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Result, Verdict
from apixo_emulator.certify.receiver import ReceiverCertifier
from apixo_emulator.certify.receiver_cases import receiver_cases

pytestmark = pytest.mark.slow

ALONE = {case.id for case in receiver_cases() if case.alone}


@pytest.fixture(scope="module")
def emulator() -> Iterator[OwnEmulator]:
    with own_emulator(0, ["--latency", "0", "--seed", "1"], profile=ANY_KEY) as emulator:
        yield emulator


async def judged(emulator: OwnEmulator, origin: str, receiver: Receiver, *ids: str) -> list[Result]:
    cases = [case for case in receiver_cases() if not ids or case.id in ids]
    certifier = ReceiverCertifier(
        f"{origin}/{type(receiver).__name__}",
        emulator,
        # An event instead of waiting: the verdicts do not depend on the speed of the machine.
        wait_idle=receiver.inbox.join,
        slow_s=receiver.slow_s,
    )
    return await certifier.run(cases, 4, lambda _: None)


def test_a_correct_receiver_passes_every_case(emulator: OwnEmulator) -> None:
    receiver = Receiver(emulator.base_url)
    with serving([receiver]) as origin:
        results = asyncio.run(judged(emulator, origin, receiver))
    assert [each.id for each in results] == [case.id for case in receiver_cases()]
    assert {each.id: each.why for each in results if each.verdict is not Verdict.PASS} == {}


def test_each_defect_fails_the_case_that_describes_it(emulator: OwnEmulator) -> None:
    receivers = [defect(emulator.base_url) for defect in DEFECTIVE]
    found: dict[str, Result] = {}

    async def judge(receiver: Receiver) -> None:
        # `success` runs first: it tells whether downloads can be observed.
        results = await judged(emulator, origin, receiver, "success", receiver.case)
        found[type(receiver).__name__] = results[-1]

    async def judge_all() -> None:
        await asyncio.gather(*(judge(each) for each in receivers if each.case not in ALONE))
        for receiver in receivers:
            if receiver.case in ALONE:
                await judge(receiver)

    with serving(receivers) as origin:
        asyncio.run(judge_all())
    expected = {defect.__name__: (defect.case, defect.verdict) for defect in DEFECTIVE}
    assert {name: (each.id, each.verdict) for name, each in found.items()} == expected
    assert all(each.why for each in found.values())
