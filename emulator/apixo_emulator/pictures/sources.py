"""Source pictures: found in the URL itself, in a folder or on the web, and judged."""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from apixo_emulator.domain.addresses import (
    ANY_BUT_FORBIDDEN,
    LOOPBACK_ONLY,
    Target,
    is_loopback_name,
)
from apixo_emulator.domain.pictures import (
    FetchMode,
    RefusedSource,
    Verdict,
    decode_data_url,
    failing_code,
    quick_verdict,
    sniff,
    web_target,
)
from apixo_emulator.exchange import OutboundBroken, OutboundError, OutboundTooLarge
from apixo_emulator.outbound import OutboundClient
from apixo_emulator.pictures.formats import UnreadablePicture
from apixo_emulator.pictures.render import inspect, is_whole

_MIB = 1 << 20
_MAX_PIXELS = 100_000_000  # width times height, read from the header alone
_MAX_REDIRECTS = 5  # the address of each is checked as the first was
_OK = 200
_POLICIES = {FetchMode.LOOPBACK: LOOPBACK_ONLY, FetchMode.PUBLIC: ANY_BUT_FORBIDDEN}


_REFUSED = {
    RefusedSource.ASSUMED: Verdict.REFUSED,
    RefusedSource.FAIL: Verdict.REJECTED,
    RefusedSource.PLACEHOLDER: Verdict.ABSENT,
}


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Where sources may come from, and bounds on one.

    Attributes:
        images: a folder of pictures by host and path.
        max_bytes: length of the file.
        max_memory: bytes that decoding it may take, estimated from the header.
        timeout_s: for fetching it in all, redirects included.
    """

    images: Path | None = None
    fetch: FetchMode = FetchMode.LOOPBACK
    refused: RefusedSource = RefusedSource.ASSUMED
    ca_file: Path | None = None
    max_bytes: int = 50 * _MIB
    max_memory: int = 256 * _MIB
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on a source; ``reason`` says why it is not usable."""

    verdict: Verdict
    reason: str = ""
    body: bytes = b""


class Sources:
    """Finds source pictures. No URL makes a method raise.

    ``decoding`` is entered while a picture is decoded to its end.
    """

    def __init__(self, options: SourceOptions, decoding: AbstractContextManager[object]) -> None:
        self._options = options
        self._decoding = decoding
        self._client = OutboundClient(ca_file=options.ca_file)

    def close(self) -> None:
        """End the fetches under way; `find` then raises `OutboundStopped`."""
        self._client.close()

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Judge by the URL alone, see `domain.pictures.quick_verdict`."""
        has_folder = self._options.images is not None
        return quick_verdict(image_url, fetch=self._options.fetch, has_folder=has_folder)

    def find(self, image_url: str) -> Finding:
        """Find a source and judge it. Blocks, at most for the time limit of a fetch."""
        quick = self.quick_verdict(image_url)
        if quick is Verdict.REJECTED or quick is Verdict.NOT_A_URL:
            return Finding(quick, "this is no URL of a JPG, PNG or WebP picture")
        if quick is Verdict.ABSENT:
            return Finding(quick, _offline("the picture is on another host"))
        target = web_target(image_url)
        return self._on_web(image_url, target) if target else self._in_url(image_url)

    def _in_url(self, image_url: str) -> Finding:
        try:
            return self._judged(decode_data_url(image_url))
        except ValueError:
            return Finding(Verdict.REJECTED, "the data: URL is malformed")

    def _on_web(self, image_url: str, target: Target) -> Finding:
        images, fetch = self._options.images, self._options.fetch
        path = _in_folder(images, target) if images else None
        if path is not None:
            return self._in_file(path)
        if fetch is FetchMode.PUBLIC or is_loopback_name(target.host):
            return self._fetched(image_url)
        return Finding(Verdict.ABSENT, _offline("the picture is not in the folder of pictures"))

    def _in_file(self, path: Path) -> Finding:
        try:
            with path.open("rb") as file:
                return self._judged(file.read(self._options.max_bytes + 1))
        except OSError as error:
            return Finding(Verdict.ABSENT, f"the file cannot be read: {error.strerror}")

    def _fetched(self, image_url: str) -> Finding:
        options = self._options
        try:
            response = self._client.fetch(
                image_url,
                policy=_POLICIES[options.fetch],
                max_bytes=options.max_bytes,
                timeout_s=options.timeout_s,
                max_redirects=_MAX_REDIRECTS,
            )
            if response.status != _OK:
                return self._refused(f"its server answered with status {response.status}")
            encoding = response.headers.get("content-encoding", "")
            return self._judged(decoded(response.body, encoding, options.max_bytes))
        except OutboundTooLarge as error:
            return Finding(Verdict.TOO_LARGE, str(error))
        except OutboundBroken as error:
            return self._refused(str(error))
        except OutboundError as error:
            return Finding(Verdict.ABSENT, str(error))

    def _refused(self, reason: str) -> Finding:
        return Finding(_REFUSED[self._options.refused], reason)

    def _judged(self, body: bytes) -> Finding:
        max_bytes, max_memory = self._options.max_bytes, self._options.max_memory
        if len(body) > max_bytes:
            return Finding(Verdict.TOO_LARGE, f"it is longer than {max_bytes} bytes")
        try:
            found = inspect(body)
        except UnreadablePicture as error:
            return Finding(Verdict.REJECTED, str(error))
        if found.width * found.height > _MAX_PIXELS:
            return Finding(Verdict.TOO_LARGE, f"it has more than {_MAX_PIXELS} pixels")
        if found.memory > max_memory:
            needed, allowed = (-(-size // _MIB) for size in (found.memory, max_memory))
            words = f"decoding it takes {needed} MiB of memory, {allowed} are allowed"
            return Finding(Verdict.TOO_LARGE, f"{words} (--source-memory)")
        if failing_code(Verdict.DAMAGED) is not None:
            with self._decoding:
                if not is_whole(body):
                    return Finding(Verdict.DAMAGED, "it is damaged behind its header")
        return Finding(Verdict.USABLE, body=body)


def _offline(reason: str) -> str:
    return f"{reason}; give it with --images DIR, or allow --fetch public"


def _in_folder(images: Path, target: Target) -> Path | None:
    """Find a URL's file below a folder: host, then path; never a file outside it."""
    path_parts = unquote(target.path.partition("?")[0]).split("/")
    parts = [target.host, *filter(None, path_parts)]
    if any(part in {".", ".."} or "\\" in part or "\0" in part for part in parts):
        return None
    try:
        root = images.resolve()
        # Links are resolved first: their targets have to be inside the folder.
        path = root.joinpath(*parts).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, NUL, a loop of links
        return None


# Content encodings

# Values of ``wbits`` to try: gzip with its header; deflate with a header, or raw as some servers send.
_COMPRESSED: dict[str, tuple[int, ...]] = {
    "gzip": (16 + zlib.MAX_WBITS,),
    "x-gzip": (16 + zlib.MAX_WBITS,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}


def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body with its content encodings undone; unknown ones are ignored.

    A body that is a picture already is returned unchanged: some servers send the encoding of the
    upload (``aws-chunked``, ``base64``, ``none``) with the plain file.

    Raises:
        OutboundTooLarge: It has more than ``max_bytes`` when it is decompressed.
        OutboundBroken: Its compressed form is cut short or damaged.
    """
    for coding in reversed([part.strip().lower() for part in encoding.split(",")]):
        if sniff(body) is not None:
            break
        if coding in _COMPRESSED:
            body = _decompressed(body, coding, max_bytes)
    return body


def _decompressed(body: bytes, coding: str, max_bytes: int) -> bytes:
    for window in _COMPRESSED[coding]:
        with suppress(zlib.error):
            return _inflated(body, window, max_bytes)
    raise OutboundBroken(f"its body is not compressed as {coding}, or is damaged")


def _inflated(body: bytes, window: int, max_bytes: int) -> bytes:
    """Decompress all members of a body; bytes after the last one are ignored, as in gzip."""
    found = bytearray()
    while body:
        decoder = zlib.decompressobj(window)
        try:
            found += decoder.decompress(body, max_bytes + 1 - len(found))
        except zlib.error:
            if found:
                break
            raise
        if len(found) > max_bytes:
            raise OutboundTooLarge(f"its body is longer than the {max_bytes} bytes allowed")
        if not decoder.eof:
            raise OutboundBroken("its compressed body is cut short")
        body = decoder.unused_data
    return bytes(found)
