"""Answers that do not end, or cannot be read: they are given up, and judged as what they are."""

import gzip
from collections.abc import Iterator

import httpx
import pytest
from kit.stub import Clock, Stub, observed

from apixo_contract._report import Report, Verdict
from apixo_contract._verify import judge


def failed(report: Report) -> dict[str, str]:
    return {result.id: result.evidence for result in report.of(Verdict.FAIL)}


class NoGzip(Stub):
    """Says of its balance that it is compressed, which it is not."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if "current-balance" not in request.url.path:
            return answer
        return httpx.Response(
            200,
            headers={"Content-Encoding": "gzip"},
            stream=httpx.ByteStream(b'{"code": 200, "message": "success", "data": 5}'),
        )


def test_an_answer_that_is_not_compressed_as_it_says_is_shown_as_such() -> None:
    report = judge(observed(NoGzip, examples=0))
    assert "no gzip, as its Content-Encoding says" in failed(report)["envelope.shape"]


class Pieces(httpx.SyncByteStream):
    """A body without end, of which a piece comes each so many seconds."""

    def __init__(self, clock: Clock, seconds: float, piece: bytes) -> None:
        self.clock, self.seconds, self.piece = clock, seconds, piece

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.clock.sleep(self.seconds)
            yield self.piece


class Endless(Stub):
    """Its own words for a missing task have no end."""

    seconds_each, piece, coding = 0.5, b" ", "identity"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if answer.status_code != 404:
            return answer
        stream = Pieces(self.clock, self.seconds_each, self.piece)  # type: ignore[arg-type]  # the stub's clock is one
        return httpx.Response(404, headers={"Content-Encoding": self.coding}, stream=stream)


class Trickles(Endless):
    """A byte each half second."""


class Floods(Endless):
    seconds_each, piece = 0.0, b" " * 65_536


class Bombs(Endless):
    seconds_each, piece, coding = 0.0, gzip.compress(bytes(10_000_000)), "gzip"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Trickles, "had not ended after 60 s"),
        (Floods, "longer than 262,144 bytes"),
        (Bombs, "longer than 262,144 bytes"),
    ],
)
def test_an_answer_without_end_is_given_up_and_judged(target: type[Stub], words: str) -> None:
    report = judge(observed(target, examples=0))
    assert words in failed(report)["envelope.shape"]


class LostResults(Stub):
    """Results come in pieces without end, and are no pictures."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/files/"):
            return httpx.Response(200, stream=Pieces(self.clock, 5.0, b"\xff\xd8\xff"[:1]))  # type: ignore[arg-type]  # the stub's clock is one
        return super().handle_request(request)


def test_a_result_that_trickles_is_given_up_and_judged() -> None:
    assert failed(judge(observed(LostResults, examples=0)))
