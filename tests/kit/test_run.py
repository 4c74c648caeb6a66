"""The run: what is sent, repeated, shrunk and followed, and how callbacks are received."""

import gzip
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import pyvips
from kit.stub import (
    IMAGE,
    KEY,
    Clock,
    Stub,
    Task,
    observed,
    refused,
    success,
)

from apixo_contract import (
    Picture,
    Purpose,
    Report,
    Settings,
    Verdict,
    judge,
)
from apixo_contract.calls import read_picture
from apixo_contract.explain import explain
from apixo_contract.session import Tracked, receiving

pytestmark = pytest.mark.slow


def failed(report: Report) -> dict[str, str]:
    return {result.id: result.summary for result in report.of(Verdict.FAIL)}


def judged(stub: type[Stub], **given: Any) -> Report:
    return judge(observed(stub, **{"examples": 0, **given}))


# --- bodies that are refused ------------------------------------------------------------------


class WrongForLongNames(Stub):
    """Other words for an output format of more than nine characters."""

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, body = super().submit(content)
        found = re.search(rb'"output_format":"([^"]*)"', content)
        long = found is not None and len(found[1].decode()) > 9
        return refused(400, "Too long.") if status == 400 and long else (status, body)


def test_a_failing_body_is_shrunk() -> None:
    report = judge(observed(WrongForLongNames, examples=30))
    failed = {result.id: result for result in report.of(Verdict.FAIL)}
    shown = failed["submit.rule.output_format.invalid"].examples[0].exchanges[0].request_body
    asked = json.loads(shown or "")["input"]
    assert len(asked["output_format"]) == 10
    assert set(asked) == {"image_urls", "output_format"}


class BreaksOff(Stub):
    """Hangs up at an empty image URL."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if b'"image_urls":[""]' in request.read():
            raise httpx.RemoteProtocolError("hung up", request=request)
        return super().handle_request(request)


def test_a_target_that_hangs_up_at_a_body_breaks_its_rule() -> None:
    report = judge(observed(BreaksOff, examples=0))
    (failed,) = report.of(Verdict.FAIL)
    assert failed.id == "submit.rule.image_urls.element_empty"
    assert "hung up" in failed.summary


def test_the_same_seed_sends_the_same_bodies() -> None:
    def bodies(seed: int) -> list[str | None]:
        return [call.body for call in observed(seed=seed, examples=1).of(Purpose.BODY)]

    assert bodies(7) == bodies(7)
    assert bodies(7) != bodies(8)


class TakesManyUrls(Stub):
    """Accepts seventeen images and more."""

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, body = super().submit(content)
        long = status == 400 and content.count(IMAGE.encode()) > 16
        return success({"taskId": f"m{len(content)}"}) if long else (status, body)


def test_a_fixed_body_is_shrunk_for_the_price_of_one_more_task() -> None:
    run = observed(TakesManyUrls, examples=0)
    (found,) = judge(run).of(Verdict.FAIL)
    shown = found.examples[0].exchanges[0].request_body or ""
    assert len(json.loads(shown)["input"]["image_urls"]) == 17
    assert sum(call.succeeded for call in run.of(Purpose.BODY)) == 2


class Flaky(Stub):
    """Answers a share of all calls wrongly, at random."""

    share = 0.1

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.rng = Random(5)  # noqa: S311 - the same calls, the same run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        return self.wrong(answer) if self.rng.random() < self.share else answer

    def wrong(self, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(400, json=refused(400, f"No luck, not {answer.status_code}.")[1])


class RandomErrors(Flaky):
    """Fails before it has done anything, often several times in a row."""

    share = 0.3

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.rng.random() < self.share:
            return httpx.Response(500, json=refused(500, "Oops.")[1])
        return Stub.handle_request(self, request)


class RandomPages(Flaky):
    def wrong(self, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(200, text=f"<h1>{answer.status_code}</h1>")


@pytest.mark.parametrize("stub", [Flaky, RandomErrors, RandomPages])
def test_a_flaky_target_is_reported_once(stub: type[Stub]) -> None:
    assert set(failed(judged(stub, budget_usd="1"))) == {"errors.flaky"}


def test_what_a_flaky_target_always_breaks_is_reported_too() -> None:
    class FlakyInOtherWords(Flaky):
        def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
            status, body = super().submit(content)
            return refused(400, "Mode!") if "mode" in body["message"] else (status, body)

    names = set(failed(judged(FlakyInOtherWords, budget_usd="1")))
    assert names == {"errors.flaky", "submit.rule.mode.invalid"}


def test_the_number_of_bodies_does_not_depend_on_the_speed_of_the_target() -> None:
    class Slow(Stub):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            self.clock.sleep(0.3)  # type: ignore[attr-defined]  # the stub's clock is one
            return super().handle_request(request)

    bodies = [[c.body for c in observed(s, examples=1).of(Purpose.BODY)] for s in (Stub, Slow)]
    assert bodies[0] == bodies[1]


# --- keys -------------------------------------------------------------------------------------


class AnyKey(Stub):
    """Gives every key an account of its own."""

    def answer(self, request: httpx.Request, path: str) -> tuple[int, dict[str, Any]]:
        authorization = request.headers.get("authorization", "")
        if path != "/apikeys/current-balance" or not authorization.startswith("Bearer "):
            return super().answer(request, path)
        own = authorization == f"Bearer {KEY}"
        return success(float(self.balance)) if own else success(100.0)


def test_a_free_run_does_not_call_separate_accounts_drift() -> None:
    report = judged(AnyKey, budget_usd="0")
    assert failed(report) == {}
    (skipped,) = (r for r in report.of(Verdict.SKIPPED) if r.id == "auth.invalid")
    assert "give --budget-usd" in skipped.evidence


# --- errors that pass -------------------------------------------------------------------------


class Transient(Stub):
    """Answers some calls with an error of a proxy; the same call then succeeds."""

    every, status, calls = 90, 502, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        if self.calls % self.every == 0:
            return httpx.Response(self.status, text="<h1>later</h1>")
        return super().handle_request(request)


@pytest.mark.parametrize("status", [500, 504])
def test_a_transient_error_is_noted_and_no_drift(status: int) -> None:
    stub = type("Planned", (Transient,), {"status": status})
    report = judged(stub, budget_usd="0.30")
    assert failed(report) == {}
    assert any(f"HTTP {status}" in remark for remark in report.remarks)
    assert report.remarks[0].startswith("Transient errors: ")


def test_a_target_with_many_such_errors_is_called_flaky() -> None:
    stub = type("Flaky", (Transient,), {"every": 12})
    assert judged(stub, budget_usd="1").remarks[0].startswith("The target is flaky: ")


class Persistent(Stub):
    def answer(self, request: httpx.Request, path: str) -> tuple[int, dict[str, Any]]:
        status, body = super().answer(request, path)
        return refused(500, "oops") if status == 404 else (status, body)


def test_a_persistent_error_is_a_failure_and_soon_not_repeated_any_more() -> None:
    run = observed(Persistent, examples=0)
    assert set(failed(judge(run))) == {"status.unknown-task"}
    repeated = Counter(call.url for call in run.of(Purpose.BUSY))
    assert max(repeated.values()) == 2
    assert len(repeated) <= 3


# --- accepted values --------------------------------------------------------------------------


class FailsSome(Stub):
    """Accepts every value, and fails tasks with one of them."""

    @staticmethod
    def fails(asked: dict[str, Any]) -> bool:
        raise NotImplementedError

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        status, body = super().submit(content)
        if status == 200:
            task = self.tasks[body["data"]["taskId"]]
            task.fails = task.fails or self.fails(json.loads(content)["input"])
        return status, body


def test_a_task_that_fails_once_is_repeated_and_no_drift() -> None:
    left = ["webp"]

    def fails(asked: dict[str, Any]) -> bool:
        return asked.get("output_format") in left and bool(left.pop())

    stub = type("FailsOnce", (FailsSome,), {"fails": staticmethod(fails)})
    assert failed(judged(stub)) == {}
    assert left == []


# --- beyond the contract ----------------------------------------------------------------------


class Grown(Stub):
    """Has grown: a field in each kind of answer, a state, a failure code, a header, a mode."""

    def submit(self, content: bytes) -> tuple[int, dict[str, Any]]:
        return super().submit(content.replace(b"IMAGE-TO-IMAGE", b"image-to-image"))

    def shown(self, task: Task) -> dict[str, Any]:
        data = super().shown(task)
        state = "queued" if data["state"] == "pending" else data["state"]
        code = {"failCode": "NSFW"} if data["state"] == "failed" else {}
        return {**data, **code, "state": state, "progress": 50}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        answer.headers["x-ratelimit-remaining"] = "7"
        return answer


def test_what_was_seen_beyond_the_contract_is_listed_and_no_failure() -> None:
    report = judged(Grown)
    assert failed(report) == {}
    assert {(found.kind, found.name) for found in report.beyond} == {
        ("field", "data.progress"),
        ("state", "queued"),
        ("fail code", "NSFW"),
        ("header", "x-ratelimit-remaining"),
        ("accepted value", 'mode "IMAGE-TO-IMAGE"'),
    }


# --- answers without end, and odd ones ----------------------------------------------------------


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
    report = judged(NoGzip)
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
    report = judged(target)
    assert words in failed(report)["envelope.shape"]


LONG = ["-" + "7" * 5_000, "1" + "0" * 5_000 + ".5", "1e" + "9" * 30]


class LongNumbers(Stub):
    """Adds a field to each answer whose number is long."""

    number = LONG[0]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        text = answer.read().decode("utf-8", "replace")
        if not text.startswith("{"):
            return answer
        added = f'{{"revision": {self.number}, {text[1:]}'
        return httpx.Response(answer.status_code, text=added, headers={"X-Served": "stub"})


@pytest.mark.parametrize("number", LONG)
def test_a_field_that_is_not_documented_may_hold_any_number(number: str) -> None:
    class Target(LongNumbers):
        pass

    Target.number = number
    assert failed(judged(Target)) == {}


@pytest.mark.parametrize("number", LONG)
def test_what_a_body_with_a_long_number_is_answered_can_be_explained(number: str) -> None:
    body = json.dumps({"request_type": "async", "input": {"mode": 0}}).replace("0", number)
    assert "found: mode = " in explain(body)
    assert explain(body).startswith("REFUSED")


# --- pictures ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        (".jpg", "jpg"),
        (".jpg[interlace]", "jpg"),
        (".png", "png"),
        (".webp", "webp"),
        (".webp[lossless]", "webp"),
    ],
)
def test_real_pictures_are_read_and_never_misread(rocket: Path, suffix: str, kind: str) -> None:
    image: Any = pyvips.Image.new_from_file(str(rocket))
    content = image.write_to_buffer(suffix)
    told = {read_picture(content[:length]) for length in range(2000)} | {read_picture(content)}
    assert told - {None} == {Picture(kind, 640, 427)}


@pytest.mark.parametrize(
    "content", [b"GIF89a" + bytes(20), b"<html></html>", b"{}" * 20, b"\xff" * 30]
)
def test_what_is_no_picture_is_told(content: bytes) -> None:
    assert read_picture(content) == Picture(None, 0, 0)


# --- callbacks --------------------------------------------------------------------------------


def target(**given: Any) -> Settings:
    return Settings("http://127.0.0.1:1/api/v1", KEY, **given)


def tracked(task_id: str, url: str) -> Tracked:
    return Tracked(task_id, "callback", url, wait_s=0, due_s=0, until_s=0)


@pytest.mark.parametrize(
    ("end", "checks"), [(b"IEND\xae\x42\x60\x82", set()), (b"", {"result.format"})]
)
def test_a_result_that_is_cut_off_is_told(end: bytes, checks: set[str]) -> None:
    class LongPng(Stub):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            if not request.url.path.endswith(".png"):
                return answer
            return httpx.Response(200, content=answer.content + bytes(10_000) + end)

    assert set(failed(judged(LongPng))) == checks


def test_callbacks_are_kept_as_they_came() -> None:
    with receiving(target(), time.time) as receiver:
        assert receiver is not None
        url = receiver.url("callback")
        content = json.dumps({"data": {"taskId": "t1"}, "key": KEY}).encode()
        answer = httpx.post(url, content=content, headers={"X-Note": KEY}, trust_env=False)
        assert answer.status_code == 200
        assert httpx.put(url, content=iter([b'{"a":', b"1}"]), trust_env=False).status_code == 200
        assert receiver.count(tracked("t2", url)) == 2
        assert receiver.count(tracked("t2", receiver.url("callback"))) == 0
    first, second = receiver.seen
    assert (first.method, first.task_id) == ("POST", "t1")
    assert KEY not in first.text + str(first.headers)
    assert (second.method, second.text) == ("PUT", '{"a":1}')


def test_the_first_callback_is_turned_away_where_a_second_is_to_be_seen() -> None:
    with receiving(target(), time.time) as receiver:
        assert receiver is not None
        soon, other = receiver.url("callback"), receiver.url("failing")
        receiver.refuse_first(soon)
        statuses = [httpx.post(url, trust_env=False).status_code for url in (soon, soon, other)]
    assert statuses == [500, 200, 200]
