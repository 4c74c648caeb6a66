"""Byte sequences that a client may send on one connection: ordinary, unusual and malformed ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

SUBMIT = b"/api/v1/generateTask/image-upscaler"
STATUS = b"/api/v1/statusTask/image-upscaler"
BALANCE = b"/api/v1/apikeys/current-balance"
GOOD = b'{"input":{"image_urls":["https://example.com/input.jpg"]}}'
_BODIES = (
    GOOD,
    GOOD,
    GOOD.replace(b"input.jpg", b"a\\r\\nupgrade: b.jpg"),
    b'{"input":{"image_urls":["https://example.com/emulate/http-503.jpg"]}}',
    b'{"input":{"image_urls":["https://example.com/a.jpg"],"resolution":"8K"},"x":"\r\nupgrade: h2c"}',
    b'{"input":{}}',
    b"\r\nUpgrade: h2c\r\n\r\n",
    b"{",
    b"",
)
_LARGE_BODY = b" " * 70_000
_ORDINARY = (
    (b"POST", SUBMIT),
    (b"POST", SUBMIT),
    (b"GET", STATUS + b"?taskId=%d"),
    (b"GET", BALANCE),
)
_UNUSUAL = (
    (b"GET", STATUS + b"?taskId=%%41&taskId=b"),
    (b"GET", STATUS + b"#taskId=1"),
    (b"GET", SUBMIT),
    (b"POST", STATUS + b"?taskId=%d"),
    (b"HEAD", BALANCE),
    (b"OPTIONS", SUBMIT),
    (b"POST", b"/api/v1/generateTask/nope"),
    (b"GET", b"/nope"),
    (b"GET", b"http://elsewhere.example" + BALANCE),
    (b"PUT", b"*"),
    (b"DELETE", b"/%%zz//x"),
    (b"CONNECT", b"example.com:443"),
)
_HEADERS = (
    *(b"",) * 30,
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Upgrade: TLS/1.3\r\n",
    b"Expect: 100-continue\r\n",
    b"Origin: http://localhost:3000\r\n",
    b"Origin: http://evil.example\r\n",
    b"X-Forwarded-Proto: https\r\nX-Forwarded-For: 10.0.0.1\r\n",
    b"X-Padded:      value   \r\nX-Empty:\r\n",
    b"X-Latin: \xe9\xff\r\n",
    b"Content-Type: text/plain\r\nAccept: */*\r\nUser-Agent: x\r\n",
    b"".join(b"X-%d: y\r\n" % number for number in range(95)),
    b"".join(b"X-%d: y\r\n" % number for number in range(120)),
)
_KEYS = (b"Authorization: Bearer %b\r\n",) * 6 + (b"", b"Authorization: Basic x\r\n")
_MUTATIONS = b"\x00\r\n :;,\t/?%xG5\xff"


@dataclass(frozen=True, slots=True)
class Sequence:
    """The packets of one connection. ``malformed`` tells that its bytes were changed at random."""

    packets: tuple[bytes, ...]
    malformed: bool

    @property
    def joined(self) -> bytes:
        return b"".join(self.packets)


def sequences(seed: int, count: int) -> Iterator[Sequence]:
    """Make sequences; the same seed gives the same ones. Each has an API key of its own."""
    random = Random(seed)  # noqa: S311 - reproducible
    for number in range(count):
        key = b"sk-%d-%d" % (seed, number)
        joined = b"".join(
            _request(random, key) for _ in range(random.choice((1, 1, 1, 1, 1, 2, 3)))
        )
        malformed = random.random() < 0.25
        if malformed:
            joined = _mutated(random, joined)
        yield Sequence(tuple(_split(random, joined)), malformed)


def _request(random: Random, key: bytes) -> bytes:
    method, target = random.choice(_ORDINARY if random.random() < 0.7 else _UNUSUAL)
    target = target % random.randrange(1000) if b"%d" in target else target.replace(b"%%", b"%")
    version = b"1.0" if random.random() < 0.04 else b"1.1"
    authorization = random.choice(_KEYS)
    lines = [
        b"Host: 127.0.0.1:8787\r\n" if random.random() < 0.9 else b"host:\tlocalhost\r\n",
        authorization % key if b"%b" in authorization else authorization,
        random.choice(_HEADERS),
    ]
    body = random.choice(_BODIES) if method == b"POST" or random.random() < 0.02 else b""
    if random.random() < 0.002:
        body = _LARGE_BODY
    if body or method == b"POST":
        if random.random() < 0.12 and len(body) < 1000:
            lines.append(b"Transfer-Encoding: chunked\r\n")
            body = _chunked(random, body)
        else:
            lines.append(b"Content-Length: %d\r\n" % len(body))
    if random.random() < 0.004:
        lines.append(b"X-Long: %b\r\n" % (b"a" * random.choice((60_000, 65_000, 66_000, 90_000))))
    random.shuffle(lines)
    return b"%b %b HTTP/%b\r\n%b\r\n%b" % (method, target, version, b"".join(lines), body)


def _chunked(random: Random, body: bytes) -> bytes:
    pieces = []
    while body:
        size = random.randint(1, len(body))
        pieces.append(b"%x\r\n%b\r\n" % (size, body[:size]))
        body = body[size:]
    trailer = b"X-Trailer: 1\r\n" if random.random() < 0.3 else b""
    return b"".join(pieces) + b"0\r\n" + trailer + b"\r\n"


def _mutated(random: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    # Near the beginning most of the time: there the heads are.
    at = random.randrange(min(len(changed), random.choice((60, 400, 100_000))))
    match random.randrange(4):
        case 0:
            changed[at] = random.choice(_MUTATIONS)
        case 1:
            changed.insert(at, random.choice(_MUTATIONS))
        case 2:
            del changed[at : at + random.randint(1, 20)]
        case _:
            changed += random.choice((b"\r\n", b"GARBAGE\r\n\r\n", b"\x16\x03\x01", b"GET / HTT"))
    return bytes(changed)


def _split(random: Random, data: bytes) -> Iterator[bytes]:
    """Split into packets: not at all, at each byte, or at a few places."""
    if len(data) < 600 and random.random() < 0.004:
        yield from (data[at : at + 1] for at in range(len(data)))
        return
    cuts = random.choice((0, 0, 1, 1, 2, 4))
    places = sorted(random.randint(0, len(data)) for _ in range(cuts))
    for start, end in zip((0, *places), (*places, len(data)), strict=True):
        if start < end:
            yield data[start:end]


def submit(key: str, **headers: str) -> bytes:
    """A valid submit."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"POST {SUBMIT.decode()} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n{lines}"
    return f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD


def bodies(answer: bytes) -> list[dict[str, object]]:
    """The JSON bodies of pipelined responses."""
    found = []
    while answer:
        head, _, rest = answer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append(json.loads(rest[:length]))
        answer = rest[length:]
    return found
