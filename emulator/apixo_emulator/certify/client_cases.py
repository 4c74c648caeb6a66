"""The cases of `certify-client`, as data: what the API does, and what a correct client achieves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from apixo_schemas import contract

# Longer than any client waits.
_LONG_MS = 3600 * 1000
_DAY_MS = 24 * 3600 * 1000
Rules = tuple[Mapping[str, Any], ...]


class Outcome(Enum):
    """What a correct client reaches."""

    # The result is there: it is downloaded, and the command ends with 0.
    RESULT = auto()
    # There is no result: the command does not end with 0.
    NO_RESULT = auto()
    # A client may give up or go on; its exit code must say which.
    EITHER = auto()


@dataclass(frozen=True, slots=True)
class ClientCase:
    """One case.

    Attributes:
        rules: Scenarios or plans for the submits of the case, as the control API takes them.
        balance: USD of the account, None for the ordinary starting balance.
        skew_ms: How far the emulator's clock is ahead of the system's.
        dates: True if the client compares a date with the system's clock, so that the emulator's must not run faster.
        paced: True if the documented pace of polls is judged.
        polls: The task ends when it has been polled so many times: every client sees what comes before, whatever its
            pace. 0 if the task ends by itself.
        endless: True if a client may repeat calls until its own time limit.
    """

    id: str
    title: str
    matters: str
    advice: str
    rules: Rules = ()
    outcome: Outcome = Outcome.RESULT
    balance: str | None = None
    skew_ms: int = 0
    dates: bool = False
    paced: bool = False
    polls: int = 0
    endless: bool = False


_LOST = "Every accepted task is paid. A client that drops it pays for nothing."
_TWICE = (
    "The API has no idempotency key: a submit that is repeated although it may have been accepted is paid"
    " twice."
)
_TOO_MANY = "A client that does not wait makes the limit worse, and may be locked out."
_NO_TASK = "A rejected submit has no task. Repeating it changes nothing."
_NO_REPEAT = (
    "After a submit without a readable response do not submit again: report the picture as uncertain. The"
    " page's advice to retry 500, 502 and 504 is safe for polls only."
)
_REPEAT_POLL = (
    "Polls cost nothing: repeat them after 429, 5xx and network errors, with increasing delays."
)
_NOT_VISIBLE = "Repeat a 404 a few times right after the submit: the task may not be visible yet."
_STATES = "Treat every state but `success` and `failed` as still running."
_CODES = "Treat every failure code as a failure, also those that the page does not list."
END = "Give up after a time limit of your own, and end with an error."
BACKOFF = "Wait as long as `Retry-After` says, in seconds or until its date, before the next call."
PACE = "Poll as the page recommends: first after 10 to 15 s, then every 5 to 10 s; download the result once."
REJECTED = "Report the message of the response and end with an error."
_RESULT = "Check the status, length and content of the download before you report success."
# The statuses after which the same request cannot succeed.
PERMANENT = (400, 401, 402, 403, 404)
_STATUSES = (*PERMANENT, 429, 500, 502, 503, 504)
_OFTEN = {"once": "The first {} is", "twice": "The first two {}s are", "always": "Every {} is"}
_TIMES = {"once": 1, "twice": 2}
_WIRE = {
    "reset": "The connection breaks after",
    "truncated": "A truncated response to",
    "drip": "A response that arrives byte by byte to",
    "invalid-json": "Invalid JSON in the response to",
    "html-502": "A gateway's HTML page in response to",
}


def _scenario(name: str, times: int | None = None) -> Rules:
    rule: dict[str, Any] = {"scenario": name}
    return ({**rule, "times": times},) if times else (rule,)


def _plan(scenario: str = "", **plan: Any) -> Rules:
    return ({"plan": plan, "scenario": scenario} if scenario else {"plan": plan},)


def _processing(scenario: str = "") -> Rules:
    """Return the rules for a task that is `processing` at once, and does not end by itself."""
    return _plan(scenario, pending_ms=0, processing_ms=_LONG_MS)


def _states() -> Iterable[ClientCase]:
    yield ClientCase(
        "states.ordinary", "A task runs through pending and processing to success, polled at the recommended pace",
        "Every accepted task is paid, and a client that polls too often meets rate limits.",
        PACE, _plan(pending_ms=300, processing_ms=_LONG_MS), paced=True, polls=2,
    )  # fmt: skip
    long_pending = _plan(pending_ms=_LONG_MS, processing_ms=300)
    for name, title, rules, polls in (
        ("immediate", "The first poll says success", _plan(duration=0), 0),
        ("no-pending", "A task that is never pending", _processing(), 1),
        ("long-pending", "A task that is pending until it ends", long_pending, 1),
        ("unknown", "A state in between that is not documented", _processing("state-unknown"), 1),
        ("no-data", "Polls without `data` until the task ends", _processing("data-missing"), 1),
        ("more-fields", "Fields that are not documented", _processing("extra-fields"), 1),
        ("no-cost-time", "A success without `costTime`", _scenario("no-cost-time"), 0),
        ("result-spaced", "`resultJson` with spaces, escapes and further fields", _scenario("result-json-spaced"), 0),
    ):  # fmt: skip
        yield ClientCase(f"states.{name}", title, _LOST, _STATES, rules, polls=polls)


def _failures() -> Iterable[ClientCase]:
    found = [
        (each.scenario, f"with `{each.code}`", _scenario(each.scenario))
        for each in contract().failures.values()
    ]
    unknown = _plan(outcome="failed", fail_code="NSFW", fail_msg="Not allowed.")
    for name, how, rules in (*found, ("unknown", "with a code that is not documented", unknown)):
        yield ClientCase(
            f"failed.{name}", f"The task fails {how}",
            "A failed task has no result. A client that reports success hides it.",
            _CODES, rules, Outcome.NO_RESULT,
        )  # fmt: skip


def _submits() -> Iterable[ClientCase]:
    for status in _STATUSES:
        if status in PERMANENT:
            matters, advice, outcome = _NO_TASK, REJECTED, Outcome.EITHER
        elif status == 429:  # noqa: PLR2004 - a status
            matters, advice, outcome = _TOO_MANY, BACKOFF, Outcome.RESULT
        else:
            # Whether a client repeats a 503 is left to it; it may not repeat the others.
            matters, advice, outcome = _TWICE, _NO_REPEAT, Outcome.EITHER
        for often, words in _OFTEN.items():
            times = _TIMES.get(often)
            if not times and status == 429:  # noqa: PLR2004 - a status
                advice = END
            yield ClientCase(
                f"submit.{status}-{often}", f"{words.format('submit')} answered {status}", matters, advice,
                _scenario(f"http-{status}", times), outcome if times else Outcome.NO_RESULT,
                endless=times is None,
            )  # fmt: skip
    yield ClientCase(
        "submit.429-date", "The first submit is answered 429, `Retry-After` is a date", _TOO_MANY,
        BACKOFF, _scenario("http-429-date", 1), dates=True,
    )  # fmt: skip
    for form in ("absent", "object"):
        yield ClientCase(
            f"submit.400-data-{form}", f"An error whose `data` is {form}",
            "Older pages show `data` as an object on errors, newer ones show none.",
            "Do not read `data` of an error.", _scenario(f"http-400-data-{form}"), Outcome.NO_RESULT,
        )  # fmt: skip
    yield ClientCase(
        "submit.no-balance", "The account has no balance", _NO_TASK, "Report that the balance is used up.",
        outcome=Outcome.NO_RESULT, balance="0",
    )  # fmt: skip
    for fault, title in _WIRE.items():
        yield ClientCase(
            f"submit.{fault}", f"{title} the submit", _TWICE, _NO_REPEAT, _scenario(fault, 1), Outcome.EITHER,
        )  # fmt: skip


def _polls() -> Iterable[ClientCase]:
    for status in _STATUSES:
        outcome, advice = Outcome.RESULT, _REPEAT_POLL
        if status in PERMANENT:
            outcome, advice = Outcome.EITHER, _NOT_VISIBLE if status == 404 else REJECTED  # noqa: PLR2004 - a status
        for often, words in _OFTEN.items():
            always = often == "always"
            yield ClientCase(
                f"status.{status}-{often}", f"{words.format('poll')} answered {status}", _LOST,
                END if always else advice,
                _scenario(f"status-http-{status}" + ("" if always else f"-{often}")),
                Outcome.NO_RESULT if always else outcome, endless=always,
            )  # fmt: skip
    yield ClientCase(
        "status.429-date", "The first poll is answered 429, `Retry-After` is a date", _LOST, BACKOFF,
        _scenario("status-http-429-date-once"), dates=True,
    )  # fmt: skip
    for fault, title in _WIRE.items():
        rules = _scenario(f"status-{fault}-once")
        yield ClientCase(f"status.{fault}-once", f"{title} a poll", _LOST, _REPEAT_POLL, rules)


def _ends() -> Iterable[ClientCase]:
    yield ClientCase(
        "stuck", "A task that never ends", "A client without a time limit hangs for ever.", END,
        _scenario("stuck"), Outcome.NO_RESULT, endless=True,
    )  # fmt: skip
    for name, title, outcome in (
        ("404", "The result link answers 404, as after its expiry", Outcome.NO_RESULT),
        ("html", "The result link answers with an HTML page", Outcome.NO_RESULT),
        ("slow-2", "The download starts after two seconds", Outcome.RESULT),
    ):
        yield ClientCase(
            f"result.{name}", title, "What is saved as a picture must be one.", _RESULT,
            _scenario(f"result-{name}"), outcome,
        )  # fmt: skip
    for name, ms in (("ahead", _DAY_MS), ("behind", -_DAY_MS)):
        yield ClientCase(
            f"clock.{name}", f"The API's clock is a day {name}",
            "Clocks differ. Times of the API are no times of your machine.",
            "Measure waiting times with a monotonic clock of your own.", skew_ms=ms,
        )  # fmt: skip


def client_cases() -> list[ClientCase]:
    """Return all cases."""
    return [case for group in (_states, _failures, _submits, _polls, _ends) for case in group()]
