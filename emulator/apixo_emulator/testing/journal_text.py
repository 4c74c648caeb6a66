"""The journal as text: what a failed test's report shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from apixo_emulator.journal.entry import JournalEntry, as_text

_MOST = 50
_LONGEST = 400


def journal_text(calls: Sequence[JournalEntry], deliveries: Sequence[Mapping[str, Any]]) -> str:
    """Give the latest calls, each with why it was answered so, and every attempt of a callback.

    Times count from the first call on the emulator's clock.
    """
    if not calls:
        return "The emulator was not called."
    start_ms = calls[0].at_ms
    left_out = len(calls) - _MOST
    lines = [f"… {left_out} earlier calls"] if left_out > 0 else []
    for call in calls[-_MOST:]:
        lines.extend(_call(call, start_ms))
    lines.extend(_deliveries(deliveries, start_ms))
    return "\n".join(lines)


def _call(call: JournalEntry, start_ms: int) -> Iterator[str]:
    query = f"?{call.query}" if call.query else ""
    yield (
        f"#{call.number} {_at(call.at_ms - start_ms)} {call.method} {call.path}{query}"
        f" -> {call.status}"
    )
    if call.request_body:
        yield f"    sent: {_short(call.request_body)}"
    if call.response_body:
        yield f"    got:  {_short(call.response_body)}"
    if call.decision:
        yield f"    why:  {call.decision}"
    for rule, reason in call.why_not:
        yield f"    not by rule {rule}: {reason}"


def _deliveries(deliveries: Iterable[Mapping[str, Any]], start_ms: int) -> Iterator[str]:
    for delivery in deliveries:
        yield f"callback of {delivery['taskId']} to {delivery['url']}: {delivery['state']}"
        for attempt in delivery["attempts"]:
            came = attempt["error"] or f"answered {attempt['status']}"
            yield f"    {_at(attempt['time'] - start_ms)} attempt {attempt['number']}: {came}"


def _at(ms: int) -> str:
    return f"+{ms / 1000:.3f}s"


def _short(body: bytes) -> str:
    text, encoding = as_text(body)
    if encoding is not None:
        return f"{len(body)} bytes"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"
