"""The judgement of a client: what it did, by the emulator's records, and what that costs."""

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
from apixo_schemas import contract, retry_after_s

_MOST_CALLS = 12
_OK = 200
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
# The statuses of a submit after which a second one may be paid twice. 429 and 503 say that nothing was done.
_UNCERTAIN = {_OK, 500, 502, 504}
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
    """One call of the client.

    Attributes:
        at_s: When it came, in seconds of the system's clock from the first call.
        time_ms: When the emulator answered, by its own clock, to compare with the date in Retry-After.
        fault: What was done to the response on the wire, None if nothing.
        is_download: A result was asked for, not only its headers.
        is_result: A result was sent, or a part of it.
        shows_end: The client could read that the task has ended.
    """

    endpoint: str
    path: str
    at_s: float
    time_ms: int
    status: int
    fault: str | None
    retry_after: str
    range: str
    is_download: bool
    is_result: bool
    shows_end: bool

    def __str__(self) -> str:
        return f"status {self.status}" + (f" ({self.fault})" if self.fault else "")

    def part(self, size: int) -> tuple[int, int]:
        """Return from where on and before which byte a result of this size was sent."""
        asked = _RANGE.fullmatch(self.range)
        return (int(asked[1]), int(asked[2]) + 1 if asked[2] else size) if asked else (0, size)


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


def calls_of(entries: Sequence[Mapping[str, Any]], rate: float) -> list[Call]:
    """Return the calls of a journal as `Call`; its times ran ``rate`` times as fast as the system's."""
    return [_call(entry, entries[0]["time"], rate) for entry in entries]


def _call(entry: Mapping[str, Any], start_ms: int, rate: float) -> Call:
    endpoint, status, fault = entry["endpoint"], entry["response"]["status"], entry["fault"]
    headers = dict(entry["response"]["headers"])
    is_download = endpoint == "file" and entry["request"]["method"] == "GET"
    is_page = headers.get("content-type", "").startswith("text/html")
    body = entry["response"]["body"] or ""
    return Call(
        endpoint=endpoint,
        path=entry["request"]["path"],
        at_s=(entry["time"] - start_ms) / 1000 / rate,
        time_ms=entry["time"],
        status=status,
        fault=fault,
        retry_after=headers.get("retry-after", ""),
        range=dict(entry["request"]["headers"]).get("range", ""),
        is_download=is_download,
        # The journal shows a part as 200, too.
        is_result=is_download and status == _OK and not (is_page or fault),
        shows_end=endpoint == "status" and not fault and any(state in body for state in _FINAL),
    )


def judge(case: ClientCase, record: Record) -> list[Finding]:
    """Return everything that is to say about a client in one case."""
    if not record.of("submit"):
        seen = "no submit" if record.calls else "no call at all"
        no_submit = Finding(Verdict.FAIL, "a submit to APIXO_BASE_URL", seen, _ADDRESS)
        return [no_submit, _termination(case, record)]
    return [
        _termination(case, record),
        *_money(record),
        *_truth(case, record),
        *_retry_after(record),
        *_pacing(case, record),
        *_after_end(record),
    ]


def _termination(case: ClientCase, record: Record) -> Finding:
    expected = f"an end within {record.timeout_s:g} s"
    if record.exit_code is not None:
        return Finding(Verdict.PASS, expected, f"exit code {record.exit_code}")
    advice = " ".join(dict.fromkeys((END, case.advice)))
    return Finding(Verdict.FAIL, expected, "the command was still running and was killed", advice)


def _money(record: Record) -> Iterator[Finding]:
    price, accepted = contract().price_micros, len(record.tasks)
    if accepted > 1:
        observed = f"{accepted} accepted submits ({usd(price * accepted)} USD)"
        expected = f"one accepted submit ({usd(price)} USD)"
        yield Finding(Verdict.FAIL, expected, observed, _ONE_SUBMIT)
    submits = record.of("submit")
    for number, call in enumerate(submits[:-1], start=1):
        if call.status in _UNCERTAIN:
            yield Finding(
                Verdict.FAIL, "no second submit after one that may have been accepted",
                f"{call} in response to submit {number}, then another submit: up to {usd(price)} USD paid twice",
                _ONE_SUBMIT,
            )  # fmt: skip
            return
    rejected = sum(call.status in PERMANENT for call in submits)
    if rejected > _MOST_REPEATS:
        expected = "no repetition of a rejected submit"
        yield Finding(Verdict.WARN, expected, f"{rejected} rejected submits", REJECTED)
    if accepted <= 1:
        yield Finding(Verdict.PASS, "at most one accepted submit", f"{accepted}")


def _truth(case: ClientCase, record: Record) -> Iterator[Finding]:
    if record.exit_code is None:
        return
    claimed, obtained, code = (
        record.exit_code == 0,
        record.obtained,
        f"exit code {record.exit_code}",
    )
    if claimed and not obtained:
        advice = f"{_EXIT} {case.advice}"
        yield Finding(Verdict.FAIL, _TRUTH, f"{code} without a downloaded result", advice)
    elif obtained and not claimed:
        yield Finding(Verdict.FAIL, _TRUTH, f"{code} although the result was downloaded", _EXIT)
    elif obtained or case.outcome is not Outcome.RESULT:
        observed = f"{code}, and {'the' if obtained else 'no'} result was downloaded"
        yield Finding(Verdict.PASS, _TRUTH, observed)
    elif record.tasks:
        observed = f"{code}, although the task was paid and has a result"
        yield Finding(Verdict.FAIL, "the result", observed)
    else:  # it has lost time, but no money
        observed = "the client gave up before a task was accepted"
        yield Finding(Verdict.WARN, "the result", observed)


def _waited(worst: Verdict, least_s: float, waited_s: float, expected: str, advice: str) -> Finding:
    verdict = Verdict.PASS if waited_s >= least_s - _TOLERANCE_S else worst
    return Finding(verdict, f"{least_s:.3g} s {expected}", f"{waited_s:.1f} s", advice)


def _retry_after(record: Record) -> Iterator[Finding]:
    for call, after in pairwise(record.calls):
        asked_s = retry_after_s(call.retry_after, call.time_ms / 1000)
        if asked_s is not None and call.endpoint == after.endpoint:
            expected, waited_s = "until the next call, as Retry-After says", after.at_s - call.at_s
            yield _waited(Verdict.FAIL, asked_s, waited_s, expected, BACKOFF)


def _pacing(case: ClientCase, record: Record) -> Iterator[Finding]:
    polls, accepted = (
        record.of("status"),
        [call for call in record.of("submit") if call.status == _OK],
    )
    if not (case.paced and record.tasks and polls and accepted):
        return
    pace = contract().polling.for_tier(record.tasks[0]["resolution"])
    first_s, every_s = pace.first_ms[0] / 1000, pace.interval_ms[0] / 1000
    waited_s = polls[0].at_s - accepted[0].at_s
    yield _waited(Verdict.WARN, first_s, waited_s, "from the submit to the first poll", PACE)
    if len(polls) > 1:
        shortest_s = min(after.at_s - before.at_s for before, after in pairwise(polls))
        yield _waited(Verdict.WARN, every_s, shortest_s, "between two polls", PACE)


def _after_end(record: Record) -> Iterator[Finding]:
    """Judge the polls after the task's end was shown. One for a new link after a failed download is none of them."""
    more, may_ask = 0, True
    for call in record.calls:
        if call.is_download:
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
        f"{call.at_s:8.2f} s  {_CALLS.get(call.endpoint, call.endpoint):<8}  {call}"
        for call in record.calls[:_MOST_CALLS]
    ]
    if len(record.calls) > _MOST_CALLS:
        lines.append(f"… and {len(record.calls) - _MOST_CALLS} more calls")
    return lines
