"""What a connection's calls are answered does not depend on those before them: each as on its own.

A call that looks like one before is told by its bytes; these calls look alike in all but what matters.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.process import Running, running

pytestmark = pytest.mark.slow

KEY = "sk-test-0123456789abcd"
SUBMIT = "/api/v1/generateTask/image-upscaler"
STATUS = "/api/v1/statusTask/image-upscaler"

HEADS = (
    ("Host: a.example", f"Authorization: Bearer {KEY}"),
    (f"Authorization: Bearer {KEY}", "host:b.example:81", "Accept: */*"),
    ("Host: a.example", "Authorization: Bearer test_401"),
    ("Host: a.example", f"Authorization: Bearer {KEY}", "Upgrade: h2c"),
    ("Host: a.example", f"Authorization: Bearer {KEY}", "X-Forwarded-Proto: https"),
    ("Host: a.example",),
)
# Longer than the short way waits for a body. No waiting for anything: to be late is what is tested.
LATE_S = 1.1
# Bodies of the same length are refused in different words.
BODIES = (
    '{"input":{"image_urls":[""]}}',
    '{"input":{"image_urls":[1 ]}}',
    '{"input":{"image_urls":[  ]}}',
    '{"input":{"image_urls":{  }}}',
    '{"input":{}}',
    '{"inpux":{}}',
    '{"input":[]}',
    "",
    "{",
    "[]\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
)


@dataclass
class Served:
    running: Running
    ids: tuple[str, ...]
    known: dict[bytes, Any] = field(default_factory=dict)

    def alone(self, call: bytes) -> Any:
        """What a call is answered on a connection of its own."""
        if call not in self.known:
            with self.running.dial() as connection, connection.makefile("rb") as stream:
                connection.sendall(call)
                self.known[call] = answer(stream)
        return self.known[call]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running("--ephemeral", "--latency", "0", cwd=tmp_path_factory.mktemp("s")) as server:
        urls = ("https://example.com/in.jpg", "https://example.com/emulate/SensitiveContent.jpg")
        answers = [
            httpx.post(
                f"{server.origin}{SUBMIT}",
                json={"input": {"image_urls": [url]}},
                headers={"Authorization": f"Bearer {KEY}"},
            )
            for url in urls
        ]
        yield Served(server, tuple(one.json()["data"]["taskId"] for one in answers))


def answer(stream: BinaryIO) -> Any:
    status = int(stream.readline().split()[1])
    headers = dict(
        line.decode().lower().strip().split(": ", 1) for line in iter(stream.readline, b"\r\n")
    )
    return status, json.loads(stream.read(int(headers["content-length"])))


def written(method: str, target: str, head: tuple[str, ...], body: str | None = None) -> bytes:
    length = () if body is None else (f"Content-Length: {len(body)}",)
    lines = (f"{method} {target} HTTP/1.1", *head, *length, "", body or "")
    return "\r\n".join(lines).encode()


def calls(ids: tuple[str, ...], *heads_of_one: tuple[str, ...]) -> st.SearchStrategy[bytes]:
    """Calls of a client that has these heads."""
    asked = (*ids, "unknown", ids[0][:-1], "", "a-b", "%41", f"{ids[0]}&taskId=b", f"{ids[0]}#b")
    targets = st.sampled_from(
        [*(f"{STATUS}?taskId={one}" for one in asked), STATUS, f"{STATUS}?x=1"]
    )
    heads = st.sampled_from(heads_of_one)
    polls = st.builds(written, st.just("GET"), targets, heads)
    submits = st.builds(written, st.just("POST"), st.just(SUBMIT), heads, st.sampled_from(BODIES))
    odd = st.sampled_from(
        [
            written("GET", f"{STATUS}?taskId={ids[0]}", heads_of_one[0], "x"),
            written("PUT", "/api/v1/nope", heads_of_one[0]),
            b"\r\n" + written("GET", f"{STATUS}?taskId={ids[0]}", heads_of_one[0]),
        ]
    )
    return st.one_of(polls, polls, submits, submits, odd)


def sequences(ids: tuple[str, ...]) -> st.SearchStrategy[list[bytes]]:
    heads = st.lists(st.sampled_from(HEADS), min_size=1, max_size=2)
    return heads.flatmap(lambda few: st.lists(calls(ids, *few), min_size=3, max_size=12))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_calls_of_one_connection_are_answered_as_on_connections_of_their_own(
    served: Served, data: st.DataObject
) -> None:
    sent = data.draw(sequences(served.ids))
    with served.running.dial() as connection, connection.makefile("rb") as stream:
        for call in sent:
            connection.sendall(call)
            assert answer(stream) == served.alone(call), call


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_however_they_are_cut_into_packets(served: Served, data: st.DataObject) -> None:
    first, second, *later = data.draw(sequences(served.ids))
    stream_of_bytes = b"".join(later)
    cuts = data.draw(st.lists(st.integers(0, len(stream_of_bytes)), max_size=2))
    edges = [0, *sorted(cuts), len(stream_of_bytes)]
    with served.running.dial() as connection, connection.makefile("rb") as stream:
        for call in (first, second):  # of each kind one is known then
            connection.sendall(call)
            assert answer(stream) == served.alone(call), call
        for start, end in pairwise(edges):
            connection.sendall(stream_of_bytes[start:end])
        assert [answer(stream) for _ in later] == [served.alone(call) for call in later]


def test_one_that_asks_to_hang_up_is_not_taken_for_one_that_did_not(served: Served) -> None:
    kept = written("GET", f"{STATUS}?taskId={served.ids[0]}", HEADS[0])
    last = written("GET", f"{STATUS}?taskId={served.ids[0]}", (*HEADS[0], "Connection: close"))
    with served.running.dial() as connection, connection.makefile("rb") as stream:
        for call in (kept, kept, last):
            connection.sendall(call)
            assert answer(stream) == served.alone(kept)
        assert stream.read() == b""


def test_what_reads_like_a_call_within_another_is_none(served: Served) -> None:
    poll = written("GET", f"{STATUS}?taskId={served.ids[0]}", HEADS[0])
    submit = written("POST", SUBMIT, HEADS[0], poll.decode())
    other = written("GET", f"{STATUS}?taskId=unknown", (HEADS[0][1], "X: ")).rstrip() + b" " + poll
    with served.running.dial() as connection, connection.makefile("rb") as stream:
        for whole in (submit, other):
            connection.sendall(poll)
            assert answer(stream) == served.alone(poll)
            connection.sendall(whole.removesuffix(poll))
            connection.sendall(poll)
            assert answer(stream) == served.alone(whole)


def test_a_body_that_comes_late_is_read_all_the_same(served: Served) -> None:
    submit = written("POST", SUBMIT, HEADS[0], BODIES[0])
    body = BODIES[0].encode()
    with served.running.dial() as connection, connection.makefile("rb") as stream:
        for _ in range(2):
            connection.sendall(submit.removesuffix(body) + body[:3])
            time.sleep(LATE_S)
            connection.sendall(body[3:])
            assert answer(stream) == served.alone(submit)


def test_a_body_that_is_on_its_way_at_the_end_is_answered(tmp_path: Path) -> None:
    submit = written("POST", SUBMIT, HEADS[0], BODIES[0])
    body = BODIES[0].encode()
    with running("--ephemeral", cwd=tmp_path) as server:
        waiting = Served(server, ())
        with server.dial() as connection, connection.makefile("rb") as stream:
            connection.sendall(submit.removesuffix(body))
            assert waiting.alone(submit)[0] == 400  # so the head was read, too
            server.process.terminate()
            with suppress(ConnectionError):
                while True:  # until nobody new is let in: it has begun to end
                    server.dial().close()
            connection.sendall(body)
            assert answer(stream) == waiting.alone(submit)
            assert stream.read() == b""


def test_empty_lines_between_calls_are_no_calls(served: Served) -> None:
    submit = written("POST", SUBMIT, HEADS[0], "")
    with served.running.dial() as connection, connection.makefile("rb") as stream:
        for sent in (submit, b"\r\n\r\n" + submit, submit):
            connection.sendall(sent)
            assert answer(stream) == served.alone(submit)
        connection.sendall(b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert stream.read() == b""
