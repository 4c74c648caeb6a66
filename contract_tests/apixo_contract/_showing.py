"""From what a run saw to what a report shows: a call with its answer, and a line that repeats it."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from apixo_contract._masking import PLACEHOLDER
from apixo_contract._observations import CallbackSeen, Exchange
from apixo_contract._report import ShownExchange

_LONGEST = 4000
_DEEPEST = 20
# What a client adds by itself: it says nothing about the call.
_NOISE = frozenset({"accept-encoding", "connection", "host", "user-agent", "content-length"})
# What a shell reads as more than itself between double quotes.
_MEANT_FOR_SHELLS = frozenset('"$`\\!')


def show(call: Exchange | CallbackSeen) -> ShownExchange:
    """Make a call, or a callback that came in, ready to be shown."""
    if isinstance(call, CallbackSeen):
        return _show_callback(call)
    return ShownExchange(
        method=call.method,
        url=call.url,
        request_headers=_quiet(call.headers),
        request_body=None if call.body is None else shortened(call.body),
        status=call.status,
        response_headers=dict(call.answer_headers),
        response_body=shortened(call.text),
        elapsed_ms=max(0, call.received_ms - call.sent_ms),
        curl=curl_line(call.method, call.url, _quiet(call.headers), call.body),
        trouble=call.trouble,
    )


def _show_callback(call: CallbackSeen) -> ShownExchange:
    return ShownExchange(
        method=call.method,
        url=call.path,
        request_headers=_quiet(call.headers),
        request_body=shortened(call.text),
        status=call.answered,
    )


def _quiet(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _NOISE}


def shortened(text: str, limit: int = _LONGEST) -> str:
    """Give a text, a long one with its middle left out and said so."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}… {len(text) - 2 * half} characters left out …{text[-half:]}"


def json_line(value: Any, message: str | None = None, depth: int = _DEEPEST) -> str:
    """Give a value of an answer as JSON on one line, its depths left out.

    Args:
        value: As `Exchange.json` reads it: with `Decimal` for what has a point.
        message: A text that is shown as ``$message``, wherever it stands.
        depth: How many levels to show.
    """
    if isinstance(value, Mapping | list) and not depth:
        return "…"
    if isinstance(value, Mapping):
        pairs = (
            f"{json_line(name)}: {json_line(part, message, depth - 1)}"
            for name, part in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(json_line(part, message, depth - 1) for part in value)}]"
    if isinstance(value, Decimal):
        # As most readers take it; what no float holds, as it came.
        return repr(float(value)) if math.isfinite(float(value)) else str(value)
    same = message is not None and value == message
    return json.dumps("$message" if same else value, ensure_ascii=False)


def curl_line(method: str, url: str, headers: Mapping[str, str], body: str | None) -> str:
    """Give a shell line that makes the call again, with the key from ``$APIXO_API_KEY``."""
    parts = ["curl", "-sS", "-X", method, _quoted(url)]
    for name, value in headers.items():
        parts += ["-H", _quoted(f"{name}: {value}")]
    if body is not None:
        parts += ["--data-raw", _quoted(body)]
    return " ".join(parts)


def _quoted(text: str) -> str:
    """Quote for a shell, but for the key's variable, which the shell is to fill in."""
    if PLACEHOLDER not in text:
        return shlex.quote(text)
    pieces = text.split(PLACEHOLDER)
    if not _MEANT_FOR_SHELLS.intersection("".join(pieces)):
        return f'"{text}"'
    return f'"{PLACEHOLDER}"'.join(shlex.quote(piece) if piece else "" for piece in pieces)
