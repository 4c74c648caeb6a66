"""The emulator keeps the contract, by the kit's own judgement: over a socket and in process."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from kit.stub import picture
from support.harness import KEY, START_MS, Clock, Harness, make_harness
from support.process import running

from apixo_contract import Report, Verdict, verify
from apixo_emulator.domain.wire import HttpRequest


class InProcess(httpx.BaseTransport):
    """Calls the emulator's one gate; results are as large as it says, and empty."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        answer = self.harness.handle(
            HttpRequest(
                request.method,
                url.path,
                url.query,
                [(name.lower(), value) for name, value in request.headers.raw],
                request.read(),
                f"{url.scheme}://{url.netloc.decode()}",
            )
        )
        headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
        if answer.picture is None:
            return httpx.Response(answer.status, headers=headers, content=answer.body)
        kind = url.path.rpartition(".")[2]
        return httpx.Response(200, content=picture(kind, answer.picture.resolution))


def failures(report: Report) -> dict[str, str]:
    return {result.id: result.evidence for result in report.of(Verdict.FAIL, Verdict.REFUTED)}


def test_the_emulator_in_process_keeps_the_contract() -> None:
    clock = Clock(START_MS)
    harness = make_harness(api_keys=frozenset({KEY}), duration_ms=41_000, clock=clock)

    def sleep(seconds: float) -> None:
        clock.advance(round(seconds * 1000))

    def now_s() -> float:
        return clock() / 1000

    report = verify(
        "http://emulator.invalid",
        KEY,
        transport=InProcess(harness),
        sleep=sleep,
        clock=now_s,
        seed=3,
        examples=1,
    )
    assert failures(report) == {}
    assert report.counts[Verdict.PASS] > 50
    assert report.counts[Verdict.CONFIRMED] > 20


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [(), ("--rate", "100", "--latency", "realistic"), ("--workers", "2")], ids=str
)
def test_the_emulator_behind_a_port_keeps_the_contract(tmp_path: Path, options: Any) -> None:
    failing = "https://example.com/emulate/SensitiveContent.jpg"
    with running("--ephemeral", *options, cwd=tmp_path) as server:
        report = verify(server.base_url, KEY, failing_image_url=failing, seed=3)
    assert failures(report) == {}
    assert report.counts[Verdict.PASS] >= 60
    skipped = {result.id for result in report.of(Verdict.SKIPPED)}
    assert "callback.delivered" not in skipped
    assert "status.failed-fields" not in skipped
