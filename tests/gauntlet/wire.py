"""HTTP/1.x on raw sockets, so that everything which HTTP leaves open can be bent."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

HEAD_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """A call as it came in; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    origin: str

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        found = parse_qs(urlsplit(self.target).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before its bytes: ``body`` is JSON unless ``raw`` is given."""

    status: int
    body: Any = None
    raw: bytes | None = None
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Style:
    """How answers look on the wire; every value keeps to HTTP and to JSON."""

    version: str = "HTTP/1.1"
    header_case: str = "title"
    chunk: int | None = None
    keep_alive: bool = True
    indent: int | None = None
    ascii_only: bool = True
    sort_keys: bool = False
    reverse_keys: bool = False
    charset: str = ""
    latency_s: float = 0.0
    # So many answers on a connection, then it is closed.
    ends_after: int | None = None


def encode(value: Any, style: Style) -> bytes:
    """Give JSON as this server writes it."""
    if style.reverse_keys:
        value = _reversed(value)
    text = json.dumps(
        value, indent=style.indent, ensure_ascii=style.ascii_only, sort_keys=style.sort_keys
    )
    return text.encode("utf-8", "surrogatepass")


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(inner) for key, inner in reversed(value.items())}
    return [_reversed(inner) for inner in value] if isinstance(value, list) else value


def _cased(name: str, case: str) -> str:
    return {"title": name.title(), "lower": name.lower(), "upper": name.upper()}[case]


def written(reply: Reply, style: Style, *, head_only: bool = False) -> bytes:
    """Give the bytes of an answer."""
    content = encode(reply.body, style) if reply.raw is None else reply.raw
    media_type = reply.media_type
    if style.charset and media_type == "application/json":
        media_type += f"; charset={style.charset}"
    headers = {"content-type": media_type, **reply.headers}
    chunked = style.chunk is not None and style.version == "HTTP/1.1"
    if chunked:
        headers["transfer-encoding"] = "chunked"
    else:
        headers["content-length"] = str(len(content))
    if not style.keep_alive:
        headers["connection"] = "close"
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"{style.version} {reply.status} {phrase}"]
    lines += [f"{_cased(name, style.header_case)}: {value}" for name, value in headers.items()]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if head_only:
        return head
    return head + (_chunks(content, style.chunk or 1) if chunked else content)


def _chunks(content: bytes, size: int) -> bytes:
    # A file in chunks of a few bytes would only be slow.
    size = max(size, len(content) // 50)
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def read_request(reader: asyncio.StreamReader, origin: str) -> Request | None:
    """Read one call; none when the caller has hung up.

    Raises:
        ValueError: It is no HTTP.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _version = first.split(" ")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines)
    }
    host = headers.get("host")
    return Request(
        method, target, headers, await _body(reader, headers), f"http://{host}" if host else origin
    )


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    pieces = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(pieces)
