"""The judgement of a client: what it did, as the emulator's records tell, and what that costs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from apixo_emulator.certify.client_cases import (
    BACKOFF,
    END,
    PACE,
    PERMANENT,
    REJECTED,
    ClientCase,
    Outcome,
)
from apixo_emulator.certify.model import Finding, Verdict
from apixo_emulator.domain.accounts import usd
from apixo_emulator.domain.wire import WireFault
from apixo_schemas import contract, retry_after_s

_MOST_CALLS = 12
_OK = 200
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
# The statuses of a submit after which a second one may be paid twice. 429 and 503 say that nothing was done.
_UNCERTAIN = {500, 502, 504}
_DAMAGED = {
    WireFault.RESET.value: "a reset connection",
    WireFault.TRUNCATED.value: "a truncated response",
    WireFault.DRIP.value: "a response byte by byte",
    WireFault.INVALID_JSON.value: "invalid JSON",
    WireFault.HTML.value: "status 502 with an HTML page",
}
_FINAL = ('"state":"success"', '"state":"failed"')
# A client measures from when it read the response, the emulator from when it received the request.
_TOLERANCE_S = 0.15
_MOST_REPEATS = 2
# As in the text of the findings.
_CALLS = {"status": "poll", "file": "download"}

_ADDRESS = "Send every call to the address in `APIXO_BASE_URL`, with the key in `APIXO_API_KEY`."
_ONE_SUBMIT = (
    "Do not submit again after a submit that was accepted or may have been: poll its task, or report the"
    " picture as uncertain."
)
_EXIT = "End with exit code 0 exactly if the whole result was downloaded and checked."
_TRUTH = "exit code 0 exactly if the result was downloaded"
_STOP = "Stop polling as soon as a poll shows `success` or `failed`."


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the client; ``at_s`` counts in seconds from the first call."""

    endpoint: str
    method: str
    path: str
    at_s: float
    status: int
    fault: str | None
    body: str
    retry_after: str | None
    is_page: bool
    range: str | None
    # The emulator's time when it answered, in Unix ms, to compare with the date in Retry-After.
    time_ms: int

    @property
    def is_result(self) -> bool:
        """True if a result was sent, or a part of it. The journal shows a part as 200, too."""
        is_sent = self.status == _OK and not (self.is_page or self.fault)
        return self.endpoint == "file" and self.method == "GET" and is_sent

    def part(self, size: int) -> tuple[int, int]:
        """Return from where on and before which byte a result of this size was sent."""
        asked = _RANGE.fullmatch(self.range or "")
        return (int(asked[1]), int(asked[2]) + 1 if asked[2] else size) if asked else (0, size)

    @property
    def shows_end(self) -> bool:
        """True if the client could read that the task has ended."""
        return (
            self.endpoint == "status"
            and not self.fault
            and any(state in self.body for state in _FINAL)
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What a command did.

    Attributes:
        exit_code: None if it was still running at the time limit.
        tasks: The accepted tasks, as the control API shows them.
        size: Bytes of the result, if parts of it were asked for.
    """

    calls: Sequence[Call]
    tasks: Sequence[Mapping[str, Any]]
    exit_code: int | None
    timeout_s: float
    size: int = 1

    def of(self, endpoint: str) -> list[Call]:
        """Return the calls of one endpoint."""
        return [call for call in self.calls if call.endpoint == endpoint]

    @property
    def obtained(self) -> bool:
        """True if a result was downloaded completely, at once or in parts."""
        have = 0
        for first, end in sorted(call.part(self.size) for call in self.calls if call.is_result):
            if first <= have:
                have = max(have, end)
        return have >= self.size


def calls_of(entries: Sequence[Mapping[str, Any]]) -> list[Call]:
    """Return the calls of a journal as `Call`."""
    start = entries[0]["time"] if entries else 0
    return [
        Call(
            entry["endpoint"],
            entry["request"]["method"],
            entry["request"]["path"],
            (entry["time"] - start) / 1000,
            entry["response"]["status"],
            entry["fault"],
            entry["response"]["body"] or "",
            _header(entry["response"], "retry-after"),
            (_header(entry["response"], "content-type") or "").startswith("text/html"),
            _header(entry["request"], "range"),
            entry["time"],
        )
        for entry in entries
    ]


def _header(message: Mapping[str, Any], wanted: str) -> str | None:
    return next((value for name, value in message["headers"] if name == wanted), None)


def judge(case: ClientCase, record: Record) -> list[Finding]:
    """Return everything that is to say about a client in one case."""
    if not record.of("submit"):
        seen = "no submit" if record.calls else "no call at all"
        no_submit = Finding(Verdict.FAIL, "a submit to APIXO_BASE_URL", seen, _ADDRESS)
        return [no_submit, *_termination(case, record)]
    return [
        *_termination(case, record),
        *_money(record),
        *_truth(case, record),
        *_pacing(case, record),
        *_after_end(record),
    ]


def _termination(case: ClientCase, record: Record) -> Iterator[Finding]:
    expected = f"an end within {record.timeout_s:g} s"
    if record.exit_code is None:
        observed = "the command was still running and was killed"
        advice = " ".join(dict.fromkeys((END, case.advice)))
        yield Finding(Verdict.FAIL, expected, observed, advice)
    else:
        yield Finding(Verdict.PASS, expected, f"exit code {record.exit_code}")


def _money(record: Record) -> Iterator[Finding]:
    price = usd(contract().price_micros)
    accepted = len(record.tasks)
    if accepted > 1:
        paid = usd(contract().price_micros * accepted)
        yield Finding(
            Verdict.FAIL, f"one accepted submit ({price} USD)",
            f"{accepted} accepted submits ({paid} USD)", _ONE_SUBMIT,
        )  # fmt: skip
    submits = record.of("submit")
    for number, call in enumerate(submits[:-1], start=1):
        if _may_be_accepted(call):
            observed = f"{_ended(call)} in response to submit {number}, then another submit: up to {price} USD paid twice"
            expected = "no second submit after one that may have been accepted"
            yield Finding(Verdict.FAIL, expected, observed, _ONE_SUBMIT)
            return
    repeats = sum(call.status in PERMANENT for call in submits)
    if repeats > _MOST_REPEATS:
        yield Finding(
            Verdict.WARN,
            "no repetition of a rejected submit",
            f"{repeats} rejected submits",
            REJECTED,
        )
    if accepted <= 1:
        yield Finding(Verdict.PASS, "at most one accepted submit", f"{accepted}")


def _ended(call: Call) -> str:
    """Return in words what a client got in response to a call."""
    return _DAMAGED.get(call.fault or "", f"status {call.status}")


def _may_be_accepted(call: Call) -> bool:
    """True if the client cannot know that the submit was not accepted."""
    return call.status in _UNCERTAIN or call.status == _OK


def _truth(case: ClientCase, record: Record) -> Iterator[Finding]:
    if record.exit_code is None:
        return
    claimed, obtained = record.exit_code == 0, record.obtained
    if claimed != obtained:
        observed, advice = (
            ("exit code 0 without a downloaded result", f"{_EXIT} {case.advice}")
            if claimed
            else (f"exit code {record.exit_code} although the result was downloaded", _EXIT)
        )
        yield Finding(Verdict.FAIL, _TRUTH, observed, advice)
    elif case.outcome is Outcome.RESULT and not obtained:
        # A client that gives up before a task is accepted loses time, but no money.
        verdict, observed = (
            (
                Verdict.FAIL,
                f"exit code {record.exit_code}, although the task was paid and has a result",
            )
            if record.tasks
            else (Verdict.WARN, "the client gave up before a task was accepted")
        )
        yield Finding(verdict, "the result", observed)
    elif obtained:
        yield Finding(Verdict.PASS, _TRUTH, "exit code 0, and the result was downloaded")
    else:
        observed = f"exit code {record.exit_code}, and no result was downloaded"
        yield Finding(Verdict.PASS, _TRUTH, observed)


def _pacing(case: ClientCase, record: Record) -> Iterator[Finding]:
    yield from _retry_after(record)
    if not case.paced:
        return
    polls = record.of("status")
    if not polls or not record.tasks:
        return
    pace = contract().polling.for_tier(record.tasks[0]["resolution"])
    first_s, every_s = pace.first_ms[0] / 1000, pace.interval_ms[0] / 1000
    accepted = next((call for call in record.of("submit") if call.status == _OK), None)
    if accepted is not None:
        first = polls[0].at_s - accepted.at_s
        verdict = Verdict.PASS if first >= first_s - _TOLERANCE_S else Verdict.WARN
        expected = f"the first poll {first_s:g} s after the submit"
        yield Finding(verdict, expected, f"{first:.1f} s", PACE)
    gaps = [after.at_s - before.at_s for before, after in pairwise(polls)]
    if gaps:
        verdict = Verdict.PASS if min(gaps) >= every_s - _TOLERANCE_S else Verdict.WARN
        yield Finding(verdict, f"{every_s:g} s between two polls", f"{min(gaps):.1f} s", PACE)


def _retry_after(record: Record) -> Iterator[Finding]:
    for call, after in pairwise(record.calls):
        asked = retry_after_s(call.retry_after or "", call.time_ms / 1000)
        if asked is None or call.endpoint != after.endpoint:
            continue
        waited = after.at_s - call.at_s
        verdict = Verdict.PASS if waited >= asked - _TOLERANCE_S else Verdict.FAIL
        yield Finding(
            verdict, f"{asked:.1f} s until the next call, as Retry-After says", f"{waited:.1f} s",
            BACKOFF,
        )  # fmt: skip


def _after_end(record: Record) -> Iterator[Finding]:
    """Judge the polls after the task's end was shown. One for a new link after a failed download is none of them."""
    more, may_ask = 0, True
    for call in record.calls:
        if call.endpoint == "file" and call.method == "GET":
            may_ask = not call.is_result
        elif call.endpoint == "status":
            more += not may_ask
            may_ask = may_ask and not call.shows_end
    if more:
        expected = "no poll after the task's end was shown"
        yield Finding(Verdict.FAIL, expected, f"{more} more poll{'s' if more > 1 else ''}", _STOP)


def evidence(record: Record) -> list[str]:
    """Return the client's calls as lines of evidence: when, what, and how it was answered."""
    lines = [
        f"{call.at_s:8.2f} s  {_CALLS.get(call.endpoint, call.endpoint):<8}  {_ended(call)}"
        for call in record.calls[:_MOST_CALLS]
    ]
    if len(record.calls) > _MOST_CALLS:
        lines.append(f"… and {len(record.calls) - _MOST_CALLS} more calls")
    return lines
