"""Secrets of a call, and what is shown in their place: the one module that masks.

A journal is shown, exported and sent around, so secrets are masked in three ways. Values of headers
and query parameters are shown only where the name is known to be harmless. The caller's key, and
values of headers with names such as ``X-Api-Key``, are masked in every other part of the call,
whatever encoding or escaping they have there. A text that looks like a secret by its form, or by
the name before it, is masked too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

from apixo_emulator.domain.accounts import account_id, bearer_key, mask

HIDDEN = "…"
_HIDDEN = HIDDEN.encode()
# Shorter texts are not masked: masking every "4k" would leave nothing to read.
SHORTEST = 4
# Bytes of the longest way to write a byte: ``\\u0041`` of JSON, each character percent-encoded.
LONGEST_FORM = 18

_HARMLESS_HEADERS = frozenset(
    b"accept accept-charset accept-encoding accept-language accept-ranges access-control-allow-origin"
    b" age allow cache-control connection content-disposition content-encoding"
    b" content-language content-length content-range content-type date dnt etag expect expires host"
    b" idempotency-key if-match if-modified-since if-none-match if-range if-unmodified-since"
    b" keep-alive last-modified location origin pragma prefer priority range referer retry-after"
    b" sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site"
    b" sec-fetch-user server te traceparent tracestate trailer transfer-encoding upgrade"
    b" upgrade-insecure-requests user-agent vary via x-apixo-emulator-depth x-correlation-id"
    b" x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip x-request-id".split()
)
AUTHORIZATION = frozenset({b"authorization", b"proxy-authorization"})
_TELLTALE = (
    "(?:(?:api|access|private)[_-]?key|secret|token|passw(?:or)?d|signature|credential|auth|cookie"
    "|session)"
)
_SECRET_NAME = re.compile(rf"{_TELLTALE}|key|sig".encode(), re.IGNORECASE)
_NAME = rf"(?<![\w.-])[\w.-]{{0,40}}{_TELLTALE}[\w.-]{{0,40}}"
_CREDENTIALS = r"(?:\s|%20|\+){1,8})(?=[a-z._~+/-]{0,80}\d)[a-z0-9._~+/=-]{8,}+"
_TASK_ID = "taskid"

# What looks like a secret by its form or by the name before it; the first group stays. Repetitions
# are bounded or possessive, so that a hostile body does not take long to mask. A pattern is only
# tried where its needle is in the text, in lower case.
_BY_FORM = tuple(
    (needle, re.compile(pattern.encode(), re.DOTALL))
    for needle, pattern in (
        (b"k-", r"\b([spr]k-)(?=[A-Za-z0-9_-]{8})[A-Za-z0-9_-]++"),
        (b"k_", r"\b([spr]k_)(?=[A-Za-z0-9_-]{8})[A-Za-z0-9_-]++"),
        (b"bearer", rf"(?i)\b(bearer{_CREDENTIALS}"),
        (b"basic", rf"(?i)\b(basic{_CREDENTIALS}"),
        (b"@", r"(://)[^/?#@\s\"']{1,200}(?=@)"),
        (b"=", rf"(?i)({_NAME}=)[^&\s\"'<>#\\]++"),
        (b"%3d", rf"(?i)({_NAME}%3d)[^&\s\"'<>#\\%]++"),
        (b'"', rf"(?i)({_NAME}\"\s{{0,8}}:\s{{0,8}}\")(?:[^\"\\]|\\.)++"),
        # JSON inside a text of JSON
        (b'\\"', rf"(?i)({_NAME}\\\"\s{{0,8}}:\s{{0,8}}\\\")(?:[^\"\\]|\\\\.)++"),
    )
)


# Parts of a text that may be a key: a segment of a URL, the value of a parameter, which may hold spaces
# or end at one, a word, what is between delimiters.
_PARTS = (
    re.compile(r"[^/?&#]+"),
    re.compile(r"(?<==)[^&#]+"),
    re.compile(r"(?<==)[^&#\s]+"),
    re.compile(r"[^\s\"'<>`]+"),
    re.compile(r"[^/?&=#;,:@\s\"'<>{}\[\]`]+"),
)
_PUNCTUATION = ".,:;!?)"


@dataclass(frozen=True, slots=True)
class Mask:
    """Masks secrets; ``labels`` maps each secret to what is shown in its place."""

    labels: Mapping[bytes, bytes] = field(default_factory=dict)

    def data(self, raw: bytes) -> bytes:
        """Return bytes with the secrets masked; what replaces a secret is UTF-8."""
        for secret, label in self.labels.items():
            raw = raw.replace(secret, label)
        if b"%" in raw or b"\\" in raw:
            raw = self._masked_below_escapes(raw)
        folded = raw.lower()
        for needle, pattern in _BY_FORM:
            if needle in folded:
                raw = pattern.sub(rb"\1" + _HIDDEN, raw)
        return raw

    def _masked_below_escapes(self, raw: bytes) -> bytes:
        pieces, at = [], 0
        for start, end, secret in sorted(find_escaped(tuple(self.labels), raw)):
            if start >= at:
                pieces += [raw[at:start], self.labels[secret]]
            at = max(at, end)
        return b"".join((*pieces, raw[at:])) if pieces else raw

    def text(self, text: str) -> str:
        """Return a text with the secrets masked."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
        """Return headers as they may be shown."""
        return tuple((name.decode("latin-1"), self._header(name, value)) for name, value in headers)

    def _header(self, name: bytes, value: bytes) -> str:
        folded = name.lower()
        if folded not in AUTHORIZATION:
            return self.text(value.decode("latin-1")) if folded in _HARMLESS_HEADERS else HIDDEN
        key = bearer_key(value)
        scheme = value.decode("latin-1").strip().partition(" ")[0]
        if key:
            return f"Bearer {mask(key)}"
        return f"{scheme.title()} {HIDDEN}" if scheme.lower() in {"basic", "digest"} else HIDDEN

    def query(self, query: bytes) -> str:
        """Return a query string as it may be shown: all names, and the value of ``taskId``."""
        return "&".join(map(self._parameter, query.decode("latin-1").split("&")))

    def _parameter(self, parameter: str) -> str:
        name, equals, value = parameter.partition("=")
        if not value or name.replace("_", "").lower() == _TASK_ID:
            return self.text(parameter)
        return f"{self.text(name)}{equals}{HIDDEN}"


def mask_of(headers: Sequence[tuple[bytes, bytes]], known: Iterable[str] = ()) -> Mask:
    """Return the mask of a call with these request headers, and of keys that are known beside it."""
    secrets = {(key.encode(), mask(key).encode()) for key in known}
    for name, value in headers:
        secrets |= set(_secrets(name.lower(), value))
    ordered = sorted(secrets, key=lambda secret: (-len(secret[0]), secret))
    return _mask(tuple(secret for secret in ordered if len(secret[0]) >= SHORTEST))


def masked_for_account(text: str, account: str) -> str:
    """Return a URL or another text as it may be shown: without the key of an account, by its id.

    The key itself is not kept; a part of the text is the key if it has the account's digest.
    """
    parts = {part for pattern in _PARTS for part in pattern.findall(text)}
    parts |= {part.rpartition(".")[0] for part in parts}  # a file's name without its suffix
    parts |= {part.rstrip(_PUNCTUATION) for part in parts}
    for part in sorted((part for part in parts if len(part) >= SHORTEST), key=len, reverse=True):
        for key in {part, unquote(part), unquote_plus(part)}:
            # Of a key that is not ASCII the account has the UTF-8 bytes as Latin-1, as headers are read.
            read = key.encode("utf-8", "surrogatepass").decode("latin-1")
            if account in {account_id(read), account_id(read, own_world=True)}:
                text = text.replace(part, mask(key))
    return Mask().text(text)


def _secrets(name: bytes, value: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Return what is secret in the value of a header, each with what is shown in its place."""
    if name in AUTHORIZATION:
        key = bearer_key(value)
        if key:
            yield key.encode("latin-1"), mask(key).encode()
        else:
            yield value.strip().rpartition(b" ")[2], _HIDDEN
    elif name == b"cookie":
        for cookie in value.split(b";"):
            yield cookie.partition(b"=")[2].strip(), _HIDDEN
    elif name not in _HARMLESS_HEADERS and _SECRET_NAME.search(name):
        yield value.strip(), _HIDDEN


@lru_cache(maxsize=256)
def _mask(secrets: tuple[tuple[bytes, bytes], ...]) -> Mask:
    return Mask({form: label for secret, label in secrets for form in _encodings(secret)})


def _encodings(secret: bytes) -> Iterator[bytes]:
    """Return a secret in the encodings of text: a header is Latin-1, or UTF-8 read as Latin-1."""
    texts = [secret.decode("latin-1")]
    with suppress(UnicodeDecodeError):
        texts.append(secret.decode())
    for text in texts:
        yield text.encode()
        yield text.replace(" ", "+").encode()
        with suppress(UnicodeEncodeError):
            yield text.encode("latin-1")


# Secrets below escapes: of JSON, of URLs, and of one in the other.

# JSON in a form in a URL.
_DEEPEST = 3
Span = tuple[int, int, bytes]
"""Where a text begins and ends, and the text."""


@dataclass(frozen=True, slots=True)
class _Escaping:
    """A way to escape: the byte that begins an escape, how one looks, and what it stands for."""

    mark: bytes
    pattern: re.Pattern[bytes]
    meaning: Callable[[re.Match[bytes]], bytes]


def _of_json(escape: re.Match[bytes]) -> bytes:
    text = escape[0]
    if text[1:2] != b"u":
        return text[1:]
    units = bytes.fromhex(text.replace(b"\\u", b"").decode())
    return units.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")


def _of_url(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[0][1:].decode())


_JSON_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}"
    rb'|\\["\\/]'
)
_ESCAPINGS = (
    _Escaping(b"\\", _JSON_ESCAPE, _of_json),
    _Escaping(b"%", re.compile(rb"%[0-9a-fA-F]{2}"), _of_url),
)


def find_escaped(wanted: Sequence[bytes], raw: bytes, depth: int = _DEEPEST) -> Iterator[Span]:
    """Return where the wanted texts are, in no order, and maybe more than once.

    They are looked for in the bytes as they are, and with the escapes of JSON or of URLs resolved,
    up to ``depth`` times in any order.
    """
    for text in wanted:
        at = raw.find(text)
        while at >= 0:
            yield at, at + len(text), text
            at = raw.find(text, at + 1)
    for escaping in _ESCAPINGS if depth else ():
        if escaping.mark in raw:
            yield from _find_below(escaping, wanted, raw, depth)


def _find_below(
    escaping: _Escaping, wanted: Sequence[bytes], raw: bytes, depth: int
) -> Iterator[Span]:
    plain = escaping.pattern.sub(escaping.meaning, raw)
    if len(plain) == len(raw):  # an escape is longer than what it stands for
        return
    found = list(find_escaped(wanted, plain, depth - 1))
    if found:
        places = _places(escaping, raw)
        for start, end, text in found:
            yield places[start], places[end], text


def _places(escaping: _Escaping, raw: bytes) -> list[int]:
    """Return the position in ``raw`` of each byte of the resolved text, and of its end."""
    places: list[int] = []
    at = 0
    for escape in escaping.pattern.finditer(raw):
        places.extend(range(at, escape.start()))
        places.extend([escape.start()] * len(escaping.meaning(escape)))
        at = escape.end()
    places.extend(range(at, len(raw) + 1))
    return places
