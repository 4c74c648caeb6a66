"""`certify-client`: correct clients pass every case, each defect fails the case that describes it."""

from __future__ import annotations

import asyncio
import os
import shlex
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from certify.clients import DEFECTIVE, Client

from apixo_client import Apixo, ApixoError, Pace, RetryPolicy
from apixo_emulator.certify.client import ClientCertifier, accounts_config
from apixo_emulator.certify.client_cases import client_cases
from apixo_emulator.certify.emulator import OwnEmulator, own_emulator
from apixo_emulator.certify.model import Result, Verdict

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, str(Path(__file__).with_name("clients.py"))]
# Asks a service, as starting a process that imports httpx 72 times takes most of a minute.
ASK = """
import os, socket
asked = socket.create_connection(("127.0.0.1", PORT))
names = "APIXO_BASE_URL", "APIXO_API_KEY", "APIXO_OUTPUT_DIR"
asked.sendall("\\n".join(map(os.environ.get, names)).encode())
raise SystemExit(asked.recv(1000).decode() or 0)
"""


class Upscaling(socketserver.BaseRequestHandler):
    """Upscales one picture with the project's own client; answers with the error, if any.

    The client polls and repeats faster than it does by default, so that the test is quick.
    """

    def handle(self) -> None:
        base_url, key, folder = self.request.recv(1000).decode().split("\n")
        retry = RetryPolicy(attempts=5, base_s=0.1, cap_s=0.5)
        with Apixo(key, base_url, pace=Pace.every(0.2), retry=retry) as apixo:
            try:
                result = apixo.upscale("https://example.com/in.jpg", resolution="2k", timeout=10)
                result.download(Path(folder) / "out.jpg")
            except ApixoError as error:
                self.request.sendall(f"{type(error).__name__}: {error}".encode()[:1000])


@pytest.fixture
def apixo_client() -> Iterator[list[str]]:
    """The command that asks the service, while it runs."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upscaling) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield [sys.executable, "-S", "-c", ASK.replace("PORT", str(server.server_address[1]))]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def emulator() -> Iterator[OwnEmulator]:
    config = accounts_config(client_cases())
    with own_emulator(0, ["--world-per-key", "--seed", "1"], config=config) as emulator:
        yield emulator


def test_the_project_s_client_passes_every_case(
    apixo_client: list[str], emulator: OwnEmulator
) -> None:
    cases = client_cases()
    certifier = ClientCertifier(apixo_client, emulator, timeout_s=100)
    results = asyncio.run(certifier.run(cases, 16, lambda _: None))
    assert [each.id for each in results] == [case.id for case in cases]
    found = {each.id: each.why for each in results if each.verdict is not Verdict.PASS}
    assert found.pop("states.ordinary").startswith(
        "expected 10 s from the submit to the first poll"
    )
    assert found == {}


def test_the_client_without_a_defect_passes(emulator: OwnEmulator) -> None:
    judged = {defect.case for defect in DEFECTIVE}
    cases = [case for case in client_cases() if case.id in judged]
    certifier = ClientCertifier([*PROGRAM, "Client"], emulator, timeout_s=100, name="correct")
    results = asyncio.run(certifier.run(cases, 8, lambda _: None))
    found = {each.id: each.why for each in results if each.verdict is not Verdict.PASS}
    assert found.pop("states.ordinary").startswith(
        "expected 10 s from the submit to the first poll"
    )
    assert found == {}


def test_a_client_is_judged_by_the_system_s_clock_where_the_emulator_s_runs_faster(
    emulator: OwnEmulator,
) -> None:
    wanted = {"submit.429-once", "submit.429-date", "status.429-date", "failed.Timeout"}
    cases = [case for case in client_cases() if case.id in wanted]
    certifier = ClientCertifier([*PROGRAM, "Client"], emulator, 100, rate=20, name="fast")
    results = asyncio.run(certifier.run(cases, 4, lambda _: None))
    assert {each.id: each.why for each in results} == dict.fromkeys(wanted, "")


@pytest.mark.parametrize("program", ["AsksForANewLink", "DownloadsInParts"])
def test_a_correct_client_of_another_kind_passes(emulator: OwnEmulator, program: str) -> None:
    cases = [case for case in client_cases() if case.id in {"result.404", "states.immediate"}]
    certifier = ClientCertifier([*PROGRAM, program], emulator, 100, name=program)
    results = asyncio.run(certifier.run(cases, 2, lambda _: None))
    assert [(each.id, each.verdict, each.why) for each in results] == [
        ("states.immediate", Verdict.PASS, ""),
        ("result.404", Verdict.PASS, ""),
    ]


def test_each_defect_fails_the_case_that_describes_it(emulator: OwnEmulator) -> None:
    found: dict[str, Result] = {}
    limit = asyncio.Semaphore(8)

    async def judge(defect: type[Client]) -> None:
        command = [*PROGRAM, defect.__name__]
        cases = [case for case in client_cases() if case.id == defect.case]
        certifier = ClientCertifier(command, emulator, defect.timeout_s, name=defect.__name__)
        async with limit:
            (found[defect.__name__],) = await certifier.run(cases, 1, lambda _: None)

    async def judge_all() -> None:
        await asyncio.gather(*map(judge, DEFECTIVE))

    asyncio.run(judge_all())
    expected = {defect.__name__: defect.verdict for defect in DEFECTIVE}
    assert {name: each.verdict for name, each in found.items()} == expected
    assert all(each.why for each in found.values())
    # The case advises what to do at its state; the finding is about money.
    advice = found["SubmitsTwiceToBeSure"].advice
    assert "Do not submit again" in advice
    assert "Poll as the page recommends" not in advice
    assert found["ReportsFailureOfASuccess"].advice.startswith("End with exit code 0 exactly if")


def test_only_the_command_s_own_end_counts_and_what_it_leaves_is_killed(
    emulator: OwnEmulator, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    # The child keeps the command's output open, and the pipe, too.
    script = f"sleep 100 3>{held} & exec {shlex.join([*PROGRAM, 'Client'])}"
    cases = [case for case in client_cases() if case.id == "states.immediate"]
    certifier = ClientCertifier(["sh", "-c", script], emulator, timeout_s=100, name="leaves")
    (result,) = asyncio.run(certifier.run(cases, 1, lambda _: None))
    assert (result.verdict, result.why) == (Verdict.PASS, "")
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b""  # the end, as no process has it open for writing
    os.close(reader)


def test_the_end_of_a_long_output_is_evidence(emulator: OwnEmulator) -> None:
    script = "yes | head -c 1000000; echo the end >&2; exit 1"
    certifier = ClientCertifier(["sh", "-c", script], emulator, timeout_s=100, name="long")
    (result,) = asyncio.run(certifier.run(client_cases()[:1], 1, lambda _: None))
    assert result.evidence[-1].endswith("y\nthe end")
    assert len(result.evidence[-1]) < 3000
    assert "APIXO_BASE_URL" in result.advice
