"""The run: what is sent, what is shrunk, what is waited for, and how callbacks are received."""

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyvips
from kit.stub import FAILING_IMAGE, IMAGE, KEY, Stub, observed, picture, refused, serving

from apixo_contract import verify
from apixo_contract._ids import similar_ids
from apixo_contract._observations import Picture, Purpose
from apixo_contract._oracle import expect_text
from apixo_contract._pictures import read_picture
from apixo_contract._receiver import receiving
from apixo_contract._report import Verdict
from apixo_contract._settings import Settings, UsageError
from apixo_contract._verify import judge

pytestmark = pytest.mark.slow


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
    assert "hung up" in failed.evidence


def test_every_pair_of_rules_is_broken_together() -> None:
    run = observed(examples=0)
    broken = [expect_text(call.body or "").broken for call in run.of(Purpose.BODY)]
    assert len({frozenset(rule.id for rule in rules) for rules in broken if len(rules) == 2}) == 20


def test_the_same_seed_sends_the_same_bodies() -> None:
    def bodies(seed: int) -> list[str | None]:
        return [call.body for call in observed(seed=seed, examples=2).of(Purpose.BODY)]

    assert bodies(7) == bodies(7)
    assert bodies(7) != bodies(8)


def test_what_a_run_meant_for_nobody_is_unknown_and_alike() -> None:
    import random

    known = ["task_12345678", "task_87654321"]
    ids = similar_ids(known, random.Random(1))  # noqa: S311 - a test
    made = [next(ids) for _ in range(50)]
    assert not set(made) & set(known)
    assert all(one.startswith(one[:4]) and "_" in one for one in made)
    assert all(sum(letter.isalnum() for letter in one) >= 12 for one in made)


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_the_head_of_a_result_tells_format_and_size(kind: str) -> None:
    assert read_picture(picture(kind, "4k")) == Picture(kind, 4096, 2730)


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


def target(**given: Any) -> Settings:
    return Settings("http://127.0.0.1:1/api/v1", KEY, **given)


def test_callbacks_are_kept_as_they_came() -> None:
    with receiving(target(), time.time) as receiver:
        assert receiver is not None
        url = receiver.url("callback")
        content = json.dumps({"data": {"taskId": "t1"}, "key": KEY}).encode()
        answer = httpx.post(url, content=content, headers={"X-Note": KEY}, trust_env=False)
        assert answer.status_code == 200
        assert httpx.put(url, content=iter([b'{"a":', b"1}"]), trust_env=False).status_code == 200
        assert receiver.count(url, "t1") == 2
        assert receiver.count(receiver.url("failing"), "t1") == 0
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


def test_a_named_callback_url_keeps_its_path() -> None:
    given = target(callback_url="https://tunnel.example/in?x=1")
    with receiving(given, time.time) as receiver:
        assert receiver is not None
        url = receiver.url("callback")
        assert url.startswith("https://tunnel.example/in?x=1&apixo-contract=")
        through = url.replace("https://tunnel.example", receiver.base_url)
        httpx.post(through, json={}, trust_env=False)
        httpx.post(receiver.base_url, json={"data": {"taskId": "t1"}}, trust_env=False)
        assert receiver.count(url, "t1") == 2


def test_a_host_that_is_not_ours_cannot_be_listened_on() -> None:
    with (
        pytest.raises(UsageError, match="--callback-port"),
        receiving(target(callback_port=99999999), time.time),
    ):
        pass


class CalledBackTwice(Stub):
    """Tries again at once where the first callback was turned away."""

    def call_back(self, task: Any, url: str) -> None:
        super().call_back(task, url)
        super().call_back(task, url)


def test_a_second_callback_is_waited_for_where_time_is_given() -> None:
    with serving(CalledBackTwice) as url:
        report = verify(
            url,
            KEY,
            image_url=IMAGE,
            failing_image_url=FAILING_IMAGE,
            max_wait=45,
            examples=0,
        )
    assert next(r.verdict for r in report.results if r.id == "callback.retry") == "pass"
