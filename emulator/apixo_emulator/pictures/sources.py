"""Where source pictures come from: the URL itself, a folder, or the web."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from apixo_emulator.domain.addresses import ANY_BUT_FORBIDDEN, LOOPBACK_ONLY
from apixo_emulator.domain.pictures import (
    FetchMode,
    Verdict,
    WebLocation,
    damage_matters,
    decode_data_url,
    quick_verdict,
    sniff,
    web_location,
)
from apixo_emulator.outbound import OutboundBroken, OutboundClient, OutboundError, OutboundTooLarge
from apixo_emulator.pictures.enlarging import is_whole, pixels_in
from apixo_emulator.pictures.library import UnreadablePicture
from apixo_emulator.pictures.limits import PictureLimits

_OK = 200
_POLICIES = {FetchMode.LOOPBACK: LOOPBACK_ONLY, FetchMode.PUBLIC: ANY_BUT_FORBIDDEN}


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found out about a source; ``reason`` says why it is not usable."""

    verdict: Verdict
    reason: str = ""
    body: bytes = b""


class Sources:
    """Looks for source pictures, within limits. Never raises for what an URL may hold."""

    def __init__(self, images: Path | None, mode: FetchMode, limits: PictureLimits) -> None:
        self._images = images
        self._mode = mode
        self._limits = limits
        self._client = OutboundClient()

    def quick_verdict(self, image_url: str) -> Verdict | None:
        """Judge by the URL alone, see `core.pictures.quick_verdict`."""
        has_folder = self._images is not None
        return quick_verdict(image_url, fetch=self._mode, has_folder=has_folder)

    def look(self, image_url: str) -> Finding:
        """Find a source and judge it. Blocks, for as long as a fetch may take at most."""
        quick = self.quick_verdict(image_url)
        if quick is Verdict.REJECTED or quick is Verdict.NOT_A_URL:
            return Finding(quick, "this is no URL of a JPG, PNG or WebP picture")
        if quick is Verdict.ABSENT:
            return Finding(quick, _offline("the picture is on another host"))
        location = web_location(image_url)
        return self._in_url(image_url) if location is None else self._on_web(image_url, location)

    def _in_url(self, image_url: str) -> Finding:
        try:
            return self._judged(decode_data_url(image_url))
        except ValueError:
            return Finding(Verdict.REJECTED, "the data: URL is malformed")

    def _on_web(self, image_url: str, location: WebLocation) -> Finding:
        path = _in_folder(self._images, location) if self._images else None
        if path is not None:
            return self._in_file(path)
        if self._mode is FetchMode.PUBLIC or location.is_loopback:
            return self._fetched(image_url)
        return Finding(Verdict.ABSENT, _offline("the picture is not in the folder of pictures"))

    def _in_file(self, path: Path) -> Finding:
        try:
            with path.open("rb") as file:
                return self._judged(file.read(self._limits.source_bytes + 1))
        except OSError as error:
            return Finding(Verdict.ABSENT, f"the file cannot be read: {error.strerror}")

    def _fetched(self, image_url: str) -> Finding:
        limits = self._limits
        try:
            response = self._client.fetch(
                image_url,
                policy=_POLICIES[self._mode],
                max_bytes=limits.source_bytes,
                timeout_s=limits.fetch_seconds,
                max_redirects=limits.redirects,
            )
            if response.status != _OK:
                words = f"its server answered with status {response.status}"
                return Finding(Verdict.ABSENT, words)
            encoding = response.headers.get("content-encoding", "")
            body = decoded(response.body, encoding, limits.source_bytes)
        except OutboundTooLarge as error:
            return Finding(Verdict.TOO_LARGE, str(error))
        except OutboundError as error:
            return Finding(Verdict.ABSENT, str(error))
        return self._judged(body)

    def _judged(self, body: bytes) -> Finding:
        if len(body) > self._limits.source_bytes:
            return Finding(
                Verdict.TOO_LARGE, f"it is longer than {self._limits.source_bytes} bytes"
            )
        try:
            pixels = pixels_in(body)
        except UnreadablePicture as error:
            return Finding(Verdict.REJECTED, str(error))
        if pixels > self._limits.source_pixels:
            return Finding(
                Verdict.TOO_LARGE, f"it has more than {self._limits.source_pixels} pixels"
            )
        if damage_matters() and not is_whole(body):
            return Finding(Verdict.DAMAGED, "it is damaged behind its header")
        return Finding(Verdict.USABLE, body=body)


def _offline(reason: str) -> str:
    return f"{reason}; give it with --images DIR, or allow --fetch public"


def _in_folder(images: Path, location: WebLocation) -> Path | None:
    """Find a URL's file below a folder: host, then path; never a file outside it."""
    parts = [location.host, *filter(None, unquote(location.path).split("/"))]
    if not _confined(parts):
        return None
    try:
        root = images.resolve()
        # A link may point where it likes: what counts is where it leads.
        path = root.joinpath(*parts).resolve()
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # too long, NUL or lone surrogates, a loop of links
        return None


def _confined(parts: Iterable[str]) -> bool:
    return not any(part in {".", ".."} or "\\" in part or "\0" in part for part in parts)


def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Return a body without its content encodings, each undone as far as it is known.

    A body that is a picture already is returned as it is: some servers keep an encoding of the upload
    (``aws-chunked``, ``base64``, ``none``) as a header of the plain file.

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
    raise OutboundBroken(f"the body is not compressed as {coding}, or is damaged")


def _inflated(body: bytes, window: int, max_bytes: int) -> bytes:
    """Decompress all members of a body; bytes after the last one are ignored, as gzip does."""
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
            raise OutboundTooLarge(f"the body is longer than the {max_bytes} bytes allowed")
        if not decoder.eof:
            raise OutboundBroken("the compressed body is cut short")
        body = decoder.unused_data
    return bytes(found)


# How zlib reads each: gzip by its header; deflate with its header, or raw as some servers send it.
_COMPRESSED: dict[str, tuple[int, ...]] = {
    "gzip": (16 + zlib.MAX_WBITS,),
    "x-gzip": (16 + zlib.MAX_WBITS,),
    "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS),
}
