"""`certify-receiver`: a correct receiver passes every case, each defect fails the case that describes it."""

from __future__ import annotations

import asyncio
import http.server
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import pytest
from certify.receivers import (
    DEFECTIVE,
    AsksForTheHeadersFirst,
    ComparesASecret,
    Receiver,
    TakesInEveryDeliveryLater,
    TakesInTwiceMuchLater,
    serving,
)

from apixo_emulator.certify.cli import ANY_KEY
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Result, Verdict
from apixo_emulator.certify.receiver import ReceiverCertifier
from apixo_emulator.certify.receiver_cases import ReceiverCase, receiver_cases

pytestmark = pytest.mark.slow

RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ALONE = {case.id for case in receiver_cases() if case.alone}


@pytest.fixture(scope="module")
def emulator() -> Iterator[OwnEmulator]:
    with own_emulator(0, ["--latency", "0", "--seed", "1"], profile=ANY_KEY) as emulator:
        yield emulator


def chosen(*ids: str) -> list[ReceiverCase]:
    return [case for case in receiver_cases() if not ids or case.id in ids]


async def judged(
    emulator: OwnEmulator, origin: str, receiver: Receiver, *ids: str, query: str = ""
) -> list[Result]:
    certifier = ReceiverCertifier(
        f"{origin}/{type(receiver).__name__}{query}",
        emulator,
        # An event instead of waiting: the verdicts do not depend on the speed of the machine.
        wait_idle=receiver.inbox.join,
        slow_s=receiver.slow_s,
    )
    return await certifier.run(chosen(*ids), 4, lambda _: None)


def verdicts(results: Iterable[Result]) -> dict[str, str]:
    return {each.id: each.verdict for each in results}


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


def test_a_queue_that_pauses_is_waited_for(emulator: OwnEmulator) -> None:
    receiver = TakesInEveryDeliveryLater(emulator.base_url)
    with serving([receiver]) as origin:
        certifier = ReceiverCertifier(f"{origin}/TakesInEveryDeliveryLater", emulator)
        again = ("duplicate.twice", "duplicate.day", "duplicate.expired")
        cases = chosen("success", *again, "forged.unknown")
        results = asyncio.run(certifier.run(cases, 4, lambda _: None))
    # The second effect comes after a pause; a question about a forged task as well. After a day it finds no file.
    assert verdicts(results) == {
        "success": "pass",
        "forged.unknown": "pass",
        **dict.fromkeys(again, "fail"),
    }


def test_an_effect_during_a_later_case_turns_the_verdict(emulator: OwnEmulator) -> None:
    receiver = TakesInTwiceMuchLater(emulator.base_url)
    shown: list[tuple[str, str]] = []
    with serving([receiver]) as origin:
        certifier = ReceiverCertifier(
            f"{origin}/TakesInTwiceMuchLater", emulator, wait_idle=receiver.inbox.join
        )
        # The later case runs alone.
        cases = chosen("duplicate.twice", "late.hour")
        results = asyncio.run(
            certifier.run(cases, 1, lambda each: shown.append((each.id, each.verdict)))
        )
    assert verdicts(results) == {"duplicate.twice": "fail", "late.hour": "pass"}
    assert shown == [
        ("duplicate.twice", "pass"),
        ("late.hour", "pass"),
        ("duplicate.twice", "fail"),
    ]


@pytest.mark.parametrize(
    ("receiver", "query"), [(AsksForTheHeadersFirst, ""), (ComparesASecret, "?secret=word")]
)
def test_a_correct_receiver_of_another_kind_passes(
    emulator: OwnEmulator, receiver: type[Receiver], query: str
) -> None:
    ids = ("success", "duplicate.twice", "forged.unknown", "forged.outcome")
    receivers = [receiver(emulator.base_url)]
    with serving(receivers) as origin:
        results = asyncio.run(judged(emulator, origin, receivers[0], *ids, query=query))
    assert {each.id: each.why for each in results if each.verdict is not Verdict.PASS} == {}


Respond = Callable[[asyncio.Server, asyncio.StreamWriter, bytes], None]


def certified(emulator: OwnEmulator, respond: Respond, *ids: str) -> dict[str, Result]:
    """Certify a server that reads each request, and responds by what the function writes."""

    async def certify() -> list[Result]:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                respond(server, writer, await reader.readexactly(length))
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        certifier = ReceiverCertifier(url, emulator, wait_idle=lambda: None)
        results = await certifier.run(chosen(*ids), 1, lambda _: None)
        server.close()
        return results

    return {each.id: each for each in asyncio.run(certify())}


@pytest.mark.parametrize(
    ("crash", "culprit"),
    [(b"succes\\u0073", "content.escaped"), (b"state=success", "malformed.text")],
)
def test_a_receiver_that_crashes_fails_the_case_and_ends_the_run(
    emulator: OwnEmulator, crash: bytes, culprit: str
) -> None:
    def respond(server: asyncio.Server, writer: asyncio.StreamWriter, body: bytes) -> None:
        if crash in body:
            server.close()
        else:
            writer.write(RESPONSE)

    ids = ("failed.Timeout", culprit, "transport.http-1-0", "fifty")
    results = certified(emulator, respond, *ids)
    went = f"the receiver went away during or after case `{culprit}`"
    assert results[culprit].verdict is Verdict.FAIL
    assert went in results[culprit].why
    assert "must not end the process" in results[culprit].advice
    later = [results["transport.http-1-0"], results["fifty"]]
    assert [(each.verdict, went in each.why) for each in later] == [(Verdict.SKIPPED, True)] * 2


class RespondsInTurn(http.server.BaseHTTPRequestHandler):
    """Handles one connection at a time, and knows no method but POST."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = self.headers["Content-Length"]
        self.rfile.read(int(length or 0))
        self.close_connection = True
        self.send_response(200 if length else 411)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


def test_a_server_that_handles_one_connection_at_a_time_is_judged_by_its_responses(
    emulator: OwnEmulator,
) -> None:
    # Its system holds 5 further connections, and resets or ignores the others.
    with http.server.HTTPServer(("127.0.0.1", 0), RespondsInTurn) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        certifier = ReceiverCertifier(url, emulator, wait_idle=lambda: None, slow_s=30)
        ids = ("fifty", "malformed.get", "malformed.head", "malformed.put", "transport.chunked")
        results = asyncio.run(certifier.run(chosen(*ids), 4, lambda _: None))
        server.shutdown()
        thread.join()
    # Nothing shows how many results of the fifty were taken in.
    assert verdicts(results) == {
        "malformed.get": "pass",
        "malformed.head": "pass",
        "malformed.put": "pass",
        "transport.chunked": "warn",
        "fifty": "skipped",
    }


@pytest.mark.parametrize(("losses", "verdict"), [(1, "pass"), (9, "fail")])
def test_a_connection_that_is_reset_is_repeated_as_the_api_does(
    emulator: OwnEmulator, losses: int, verdict: str
) -> None:
    left = iter(range(losses))

    def respond(_: asyncio.Server, writer: asyncio.StreamWriter, _body: bytes) -> None:
        if next(left, None) is None:
            writer.write(RESPONSE)
            return
        # Closed so, it is reset.
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    assert verdicts(certified(emulator, respond, "malformed.type").values()) == {
        "malformed.type": verdict
    }
