"""What must not be shown of a call: its keys and other secrets, wherever in the call they stand.

Three nets, since a journal is shown, exported and sent around. Only headers and query parameters
that are known to be harmless are shown with their values. The caller's key and what stands in
headers named like secrets is masked in every other part of the call, in whatever encoding it is
written there. And what looks like a secret by its form or its neighbour's name is masked, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

from apixo_emulator.domain.accounts import bearer_key, mask
from apixo_emulator.journal.escapes import occurrences

HIDDEN = "…"
_HIDDEN = HIDDEN.encode()
# Shorter ones are no secrets, and masking every "4k" would leave nothing to read.
SHORTEST = 4
# The longest way to write a byte: ``\\u0041`` of JSON, each character of it percent-encoded.
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
_TASK_ID = "taskid"

# What looks like a secret by its form or its neighbour; the first group stays. Repetitions are
# bounded or cannot give back: a hostile body must not take long to mask. Without its needle in a
# text, in lower case, there is nothing to look for.
_BY_FORM = tuple(
    (needle, re.compile(pattern.encode(), re.DOTALL))
    for needle, pattern in (
        (b"k-", r"\b([spr]k-)(?=[A-Za-z0-9_-]{8})[A-Za-z0-9_-]++"),
        (b"k_", r"\b([spr]k_)(?=[A-Za-z0-9_-]{8})[A-Za-z0-9_-]++"),
        (
            b"bearer",
            r"(?i)\b(bearer(?:\s|%20|\+){1,8})(?=[a-z._~+/-]{0,80}\d)[a-z0-9._~+/=-]{8,}+",
        ),
        (
            b"basic",
            r"(?i)\b(basic(?:\s|%20|\+){1,8})(?=[a-z._~+/-]{0,80}\d)[a-z0-9._~+/=-]{8,}+",
        ),
        (b"@", r"(://)[^/?#@\s\"']{1,200}(?=@)"),
        (b"=", rf"(?i)({_NAME}=)[^&\s\"'<>#\\]++"),
        (b"%3d", rf"(?i)({_NAME}%3d)[^&\s\"'<>#\\%]++"),
        (b'"', rf"(?i)({_NAME}\"\s{{0,8}}:\s{{0,8}}\")(?:[^\"\\]|\\.)++"),
        # JSON inside a text of JSON
        (b'\\"', rf"(?i)({_NAME}\\\"\s{{0,8}}:\s{{0,8}}\\\")(?:[^\"\\]|\\\\.)++"),
    )
)


@dataclass(frozen=True, slots=True)
class Mask:
    """Masks the secrets of one call; ``labels`` says by what each is replaced."""

    labels: Mapping[bytes, bytes] = field(default_factory=dict)

    def data(self, raw: bytes) -> bytes:
        """Mask bytes; what replaces a secret is UTF-8."""
        for secret, label in self.labels.items():
            raw = raw.replace(secret, label)
        if b"%" in raw or b"\\" in raw:
            raw = self._escaped(raw)
        folded = raw.lower()
        for needle, pattern in _BY_FORM:
            if needle in folded:
                raw = pattern.sub(rb"\1" + _HIDDEN, raw)
        return raw

    def _escaped(self, raw: bytes) -> bytes:
        """Mask what only shows when escapes are resolved."""
        pieces, at = [], 0
        for start, end, secret in sorted(occurrences(tuple(self.labels), raw)):
            if start >= at:
                pieces += [raw[at:start], self.labels[secret]]
            at = max(at, end)
        return b"".join((*pieces, raw[at:])) if pieces else raw

    def text(self, text: str) -> str:
        """Mask text."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
        """Give headers as they may be shown."""
        return tuple((name.decode("latin-1"), self._header(name, value)) for name, value in headers)

    def _header(self, name: bytes, value: bytes) -> str:
        folded = name.lower()
        if folded in AUTHORIZATION:
            scheme, _, _ = value.decode("latin-1").strip().partition(" ")
            key = bearer_key(value)
            return f"Bearer {mask(key)}" if key else _scheme(scheme)
        return self.text(value.decode("latin-1")) if folded in _HARMLESS_HEADERS else HIDDEN

    def query(self, query: bytes) -> str:
        """Give a query string as it may be shown: all names, and the value of ``taskId``."""
        return "&".join(map(self._parameter, query.decode("latin-1").split("&")))

    def _parameter(self, parameter: str) -> str:
        name, equals, value = parameter.partition("=")
        if not value or name.replace("_", "").lower() == _TASK_ID:
            return self.text(parameter)
        return f"{self.text(name)}{equals}{HIDDEN}"


def _scheme(scheme: str) -> str:
    return f"{scheme.title()} {HIDDEN}" if scheme.lower() in {"basic", "digest"} else HIDDEN


def mask_of(headers: Sequence[tuple[bytes, bytes]], known: Iterable[str] = ()) -> Mask:
    """Make the mask of a call by its request's headers, and by keys that are known beside it."""
    secrets = {(key.encode(), mask(key).encode()) for key in known}
    for name, value in headers:
        secrets |= set(_secrets(name.lower(), value))
    ordered = sorted(secrets, key=lambda secret: (-len(secret[0]), secret))
    return _mask(tuple(secret for secret in ordered if len(secret[0]) >= SHORTEST))


def _secrets(name: bytes, value: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Give what is secret in a header's value, each with what may be shown of it."""
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
    return Mask({form: label for secret, label in secrets for form in _forms(secret)})


def _forms(secret: bytes) -> Iterator[bytes]:
    """Give a secret in the encodings of text: headers carry Latin-1, or UTF-8 that looks like it."""
    texts = [secret.decode("latin-1")]
    with suppress(UnicodeDecodeError):
        texts.append(secret.decode())
    for text in texts:
        yield text.encode()
        yield text.replace(" ", "+").encode()
        with suppress(UnicodeEncodeError):
            yield text.encode("latin-1")
