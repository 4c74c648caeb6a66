"""What the server makes of bytes: the same on both paths, and however they are split into packets."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import pytest
import uvloop

from server.paths import ServerPath, exchange, settle
from server.sequences import GOOD, STATUS, SUBMIT, Sequence, bodies, sequences, submit

AT_ONCE = 500
# Lots after which all that is stored is compared, too.
SOMETIMES = 20
# Sequences after which garbage is collected.
COLLECTED = 5000


async def answers(path: ServerPath, found: list[Sequence]) -> list[tuple[bytes, bool]]:
    """Send sequences at once, a connection each; return answers, and which connections were closed."""
    connections = [path.connect() for _ in found]
    left = [
        (receive, iter(one.packets)) for (_, receive), one in zip(connections, found, strict=True)
    ]
    while left:
        sent = [(receive, packets, next(packets, None)) for receive, packets in left]
        left = [(receive, packets) for receive, packets, packet in sent if packet is not None]
        for receive, _, packet in sent:
            if packet is not None:
                receive(packet)
        await asyncio.sleep(0)  # the next packets may come before the answers
    await settle()
    seen = [(bytes(transport.written), transport.closed) for transport, _ in connections]
    for transport, _ in connections:
        transport.close()
    await settle()
    return seen


Stored = tuple[list[str], list[str], Counter[tuple[str, int, str]]]


def stored(path: ServerPath) -> Stored:
    """The tasks, the accounts, and how often the journal says what."""
    control = path.harness.operator
    entries = control.requests(limit=10_000)
    return (
        sorted(task["taskId"] for task in control.tasks(limit=1000)),
        sorted(map(str, control.accounts())),
        Counter((entry.endpoint, entry.status, entry.decision) for entry in entries),
    )


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Leave garbage until `compare` collects it: the collector would take a third of the time."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


async def compare(folder: Path, count: int, seed: int) -> None:
    fast, plain = (ServerPath(folder, fast=fast) for fast in (True, False))
    made = sequences(seed, count)
    for number in range(0, count, AT_ONCE):
        found = list(islice(made, AT_ONCE))
        expected = await answers(plain, found)
        for sequence, one, other in zip(found, await answers(fast, found), expected, strict=True):
            assert one == other, sequence
        if number % (SOMETIMES * AT_ONCE) == 0:
            assert stored(fast) == stored(plain)
            await compare_whole(folder, found, expected)
        if number % COLLECTED == 0:
            gc.collect()
        for path in (fast, plain):  # the journal is bounded
            path.harness.operator.reset()


async def compare_whole(
    folder: Path, found: list[Sequence], expected: list[tuple[bytes, bool]]
) -> None:
    """Send the same bytes in one packet each; what is malformed may be noticed at another time."""
    path = ServerPath(folder, fast=True)
    whole = [Sequence((one.joined,), one.malformed) for one in found]
    for sequence, one, other in zip(whole, await answers(path, whole), expected, strict=True):
        assert sequence.malformed or one == other, sequence


@pytest.mark.parametrize(
    ("count", "seed"),
    # 100,000 in all, in parts that processes can share.
    [(1000, 1), *(pytest.param(25_000, seed, marks=pytest.mark.slow) for seed in range(2, 6))],
)
def test_both_paths_answer_alike_however_the_bytes_are_split(
    tmp_path: Path, count: int, seed: int
) -> None:
    with collected_seldom():
        uvloop.run(compare(tmp_path, count, seed))


# What was wrong once


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def send(folder: Path, *packets: bytes, fast: bool) -> tuple[ServerPath, bytes, bool]:
    """Send packets to a new emulator; return it, its answer, and whether the connection was closed."""

    async def sent() -> tuple[ServerPath, bytes, bool]:
        path = ServerPath(folder, fast=fast)
        return path, *await exchange(path, *packets)

    return asyncio.run(sent())


@pytest.mark.parametrize("upgrade", ["Upgrade: h2c", "UPGRADE:websocket"])
def test_a_body_is_never_changed(tmp_path: Path, *, fast: bool, upgrade: str) -> None:
    url = f"https://example.com/a.jpg?\\r\\n{upgrade}"
    body = f'{{"input":{{"image_urls":["{url}"]}},"x":"\r\n{upgrade}"}}'.encode()
    good = body.replace(b'"x":"\r\n', b'"x":"')
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\nContent-Length: %d\r\n\r\n"
    requests = [head % (SUBMIT, len(one)) + one for one in (body, good)]
    path, answer, closed = send(tmp_path, b"".join(requests), fast=fast)
    # A line break inside a JSON text is no JSON; that body still is one request.
    assert [one["code"] for one in bodies(answer)] == [400, 200]
    assert not closed
    (entry,) = path.harness.operator.requests(call="submit", status="200")
    assert entry.request_body == good


@pytest.mark.parametrize(
    "header", ["Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c", "Upgrade: x"]
)
def test_an_upgrade_is_ignored_wherever_its_header_is_split(
    tmp_path: Path, *, fast: bool, header: str
) -> None:
    request = submit("k").replace(b"Host: a", b"Host: a\r\n" + header.encode())

    async def cut_everywhere() -> None:
        path = ServerPath(tmp_path, fast=fast)
        for cut in range(1, len(request)):
            answer, closed = await exchange(path, request[:cut], request[cut:] + request)
            assert [one["code"] for one in bodies(answer)] == [200, 200], cut
            assert not closed

    asyncio.run(cut_everywhere())


@pytest.mark.parametrize("header", ["X: y", "Origin: http://localhost", "Expect: 100-continue"])
def test_a_valid_submit_is_answered_before_malformed_bytes_behind_it(
    tmp_path: Path, *, fast: bool, header: str
) -> None:
    request = submit("k").replace(b"Host: a", b"Host: a\r\n" + header.encode())
    for packets in ((request + b"\x00\r\n\r\n",), (request, b"\x00\r\n\r\n")):
        path, answer, closed = send(tmp_path, *packets, fast=fast)
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert [one["code"] for one in bodies(answer)] == [200, 400]
        assert closed
        assert len(path.harness.operator.tasks()) == 1


def test_a_broken_body_is_answered_once_and_not_charged(tmp_path: Path, *, fast: bool) -> None:
    chunked = submit("k").replace(b"Content-Length: %d" % len(GOOD), b"Transfer-Encoding: chunked")
    path, answer, closed = send(tmp_path, submit("k") + chunked, fast=fast)
    assert [one["code"] for one in bodies(answer)] == [200, 400]
    assert closed
    assert len(path.harness.operator.tasks()) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"X: %b\r\n" % (b"a" * 60_000), 404),
        (b"X: %b\r\n" % (b"a" * 66_000), 431),
        (b"".join(b"X-%d: %b\r\n" % (number, b"a" * 1000) for number in range(80)), 431),
        (b"".join(b"X-%d: a\r\n" % number for number in range(90)), 404),
        (b"".join(b"X-%d: a\r\n" % number for number in range(110)), 431),
        (b"X: %b\r\n" % (b"a" * 300_000), 431),
    ],
)
@pytest.mark.parametrize("size", [1_000_000, 65_536, 1000])
def test_the_limit_of_a_head_does_not_depend_on_packets(
    tmp_path: Path, *, fast: bool, headers: bytes, status: int, size: int
) -> None:
    head = b"GET %b?taskId=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer k\r\n" % STATUS
    # Behind another request, too.
    for before, expected in ((b"", [status]), (submit("k"), [200, status])):
        request = before + head + headers + b"\r\n"
        packets = [request[at : at + size] for at in range(0, len(request), size)]
        _, answer, closed = send(tmp_path, *packets, fast=fast)
        assert [one["code"] for one in bodies(answer)] == expected
        assert closed == (status == 431)


def test_a_head_without_end_is_refused(tmp_path: Path, *, fast: bool) -> None:
    packets = [b"GET / HTTP/1.1\r\nX: ", *[b"a" * 1000] * 100]
    _, answer, closed = send(tmp_path, *packets, fast=fast)
    assert [one["code"] for one in bodies(answer)] == [431]
    assert closed


@pytest.mark.parametrize("scenario", ["truncated", "reset", "drip"])
def test_nothing_is_charged_behind_a_response_that_ends_the_connection(
    tmp_path: Path, *, fast: bool, scenario: str
) -> None:
    broken = submit("k").replace(b"/input.jpg", b"/emulate/%b.jpg" % scenario.encode())
    broken = broken.replace(
        b": %d" % len(GOOD), b": %d" % (len(GOOD) + len("emulate/") + len(scenario) - 5)
    )
    path, answer, _ = send(tmp_path, broken + submit("k"), submit("k"), fast=fast)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert len(path.harness.operator.tasks()) == 1


# Unusual requests


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GET /%zz%ff HTTP/1.1", 404),
        ("GET //api/v1//statusTask HTTP/1.1", 404),
        ("GET http://elsewhere.example/api/v1/nope HTTP/1.1", 404),
        ("OPTIONS * HTTP/1.1", 404),
        ("GET /files/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404),
        ("PROPFIND /api/v1/generateTask/image-upscaler HTTP/1.1", 405),
        ("GET /api/v1/statusTask/image-upscaler?taskId=%00%ff HTTP/1.1", 404),
        ("CONNECT example.com:443 HTTP/1.1", 400),
        ("GET /api/v1/ü HTTP/1.1", 400),
        ("hello", 400),
        ("GET / HTTP/1.1\r\nContent-Length: x", 400),
        ("GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked", 400),
    ],
)
def test_a_strange_request_is_answered_with_the_envelope(
    tmp_path: Path, *, fast: bool, line: str, expected: int
) -> None:
    head = f"{line}\r\nHost: a\r\nAuthorization: Bearer k\r\nX-Strange: é\r\n\r\n"
    _, answer, _ = send(tmp_path, head.encode(), fast=fast)
    (body,) = bodies(answer)
    assert body["code"] == expected
    assert answer.startswith(b"HTTP/1.1 %d " % expected)


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        (SUBMIT, False, 401),
        (b"/api/v1/generateTask/nope", True, 404),
        (b"/nope", True, 404),
        (SUBMIT, True, 413),
    ],
)
@pytest.mark.parametrize("length", [b"Content-Length: 52428800", b"Transfer-Encoding: chunked"])
def test_key_and_model_come_before_a_large_body(
    tmp_path: Path, *, fast: bool, path: bytes, key: bool, status: int, length: bytes
) -> None:
    """Before it is sent, if its length or the rest of the request decides."""
    authorization = b"Authorization: Bearer k\r\n" if key else b""
    head = b"POST %b HTTP/1.1\r\nHost: a\r\n%b%b\r\n\r\n" % (path, authorization, length)
    pieces = [b"1000000\r\n" + b" " * 0x1000000 + b"\r\n"] * 2 if b"chunked" in length else []
    if status != 413:
        pieces = []
    _, answer, _ = send(tmp_path, head, *pieces, fast=fast)
    assert [one["code"] for one in bodies(answer)] == [status]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Host: emulator:8787\r\n", "http://emulator:8787"),
        ("Host: my_service\r\n", "http://my_service"),
        ("Host: [::1]:99\r\n", "http://[::1]:99"),
        ("Host: a\r\nX-Forwarded-Proto: https\r\n", "https://a"),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_the_result_s_link_follows_the_host_that_the_client_used(
    tmp_path: Path, *, fast: bool, host: str, expected: str, version: str
) -> None:
    async def link() -> str:
        path = ServerPath(tmp_path, fast=fast)
        (submitted,) = bodies((await exchange(path, submit("k")))[0])
        path.harness.clock.advance(100_000)
        task_id = submitted["data"]["taskId"]  # type: ignore[index] # JSON
        head = f"GET {STATUS.decode()}?taskId={task_id} HTTP/{version}\r\n{host}"
        polled, closed = await exchange(path, f"{head}Authorization: Bearer k\r\n\r\n".encode())
        assert closed == (version == "1.0")
        return polled.decode()

    assert f"{expected}/files/" in asyncio.run(link())


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        ("1.1", "", 400),
        ("1.0", "", 404),
        ("1.1", "Host: a\r\nHost: a\r\n", 400),
        ("1.1", 'Host: evil"host\r\n', 400),
        ("1.0", "Host: a/b?c\r\n", 400),
        ("1.1", "Host:\r\n", 400),
    ],
)
@pytest.mark.parametrize("path", [STATUS.decode() + "?taskId=1", "/nope"])
def test_a_request_names_one_host(
    tmp_path: Path, *, fast: bool, version: str, hosts: str, status: int, path: str
) -> None:
    """RFC 9112, 3.2. Nothing of a request without one is carried out."""
    request = f"GET {path} HTTP/{version}\r\n{hosts}Authorization: Bearer k\r\n\r\n"
    _, answer, closed = send(tmp_path, request.encode(), fast=fast)
    assert [one["code"] for one in bodies(answer)] == [status]
    assert closed


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("rebound.example:8787", "http://rebound.example:8787", 403),
        ("rebound.example:8787", None, 200),
        ("127.0.0.1:8787", "http://127.0.0.1:8787", 200),
        ("192.168.1.7:8787", "http://192.168.1.7:8787", 200),
        ("127.0.0.1:8787", "http://localhost:3000", 200),
    ],
)
def test_a_web_page_under_a_rebound_name_is_refused(
    tmp_path: Path, *, fast: bool, host: str, origin: str | None, status: int
) -> None:
    request = submit("k", **({"Origin": origin} if origin else {}))
    request = request.replace(b"Host: a", f"Host: {host}".encode())
    _, answer, _ = send(tmp_path, request, fast=fast)
    assert [one["code"] for one in bodies(answer)] == [status]


def test_a_client_that_disconnects_in_its_body_harms_nothing(tmp_path: Path, *, fast: bool) -> None:
    path, answer, _ = send(tmp_path, submit("k")[:-10], fast=fast)
    assert answer == b""
    assert path.harness.operator.tasks() == []
