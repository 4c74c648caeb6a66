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
    paced: bool = False
    polls: int = 0
    endless: bool = False


_LOST = "Every accepted task is paid. A client that drops it pays for nothing."
_TWICE = (
    "The API has no idempotency key: a submit that is repeated although it may have been accepted is paid"
    " twice."
)
_NO_REPEAT = (
    "After a submit without a readable response do not submit again: report the picture as uncertain. The"
    " page's advice to retry 500, 502 and 504 is safe for polls only."
)
_REPEAT_POLL = (
    "Polls cost nothing: repeat them after 429, 5xx and network errors, with increasing delays."
)
_STATES = "Treat every state but `success` and `failed` as still running."
_CODES = "Treat every failure code as a failure, also those that the page does not list."
END = "Give up after a time limit of your own, and end with an error."
BACKOFF = "Wait as long as `Retry-After` says, in seconds or until its date, before the next call."
PACE = "Poll as the page recommends: first after 10 to 15 s, then every 5 to 10 s; download the result once."
REJECTED = "Report the message of the response and end with an error."
_RESULT = "Check the status, length and content of the download before you report success."


def _scenario(name: str, times: int | None = None) -> Rules:
    rule: dict[str, Any] = {"scenario": name}
    return ({**rule, "times": times},) if times else (rule,)


def _plan(**plan: Any) -> Rules:
    return ({"plan": plan},)


def _processing(scenario: str = "") -> Rules:
    """Return the rules for a task that is `processing` at once, and does not end by itself."""
    (plan,) = _plan(pending_ms=0, processing_ms=_LONG_MS)
    return ({**plan, "scenario": scenario} if scenario else plan,)


def _states() -> Iterable[ClientCase]:
    def case(name: str, title: str, rules: Rules, polls: int = 0) -> ClientCase:
        return ClientCase(f"states.{name}", title, _LOST, _STATES, rules, polls=polls)

    yield ClientCase(
        "states.ordinary", "A task runs through pending and processing to success, polled at the recommended pace",
        "Every accepted task is paid, and a client that polls too often meets rate limits.",
        PACE,
        _plan(pending_ms=300, processing_ms=_LONG_MS),
        paced=True,
        polls=2,
    )  # fmt: skip
    yield case("immediate", "The first poll says success", _plan(duration=0))
    yield case(
        "no-pending",
        "A task that is never pending",
        _processing(),
        1,
    )
    yield case("long-pending", "A task that is pending until it ends", _plan(pending_ms=_LONG_MS, processing_ms=300), 1)  # fmt: skip
    yield case(
        "unknown",
        "A state in between that is not documented",
        _processing("state-unknown"),
        1,
    )
    yield case(
        "no-data",
        "Polls without `data` until the task ends",
        _processing("data-missing"),
        1,
    )
    yield case(
        "more-fields",
        "Fields that are not documented",
        _processing("extra-fields"),
        1,
    )
    yield case("no-cost-time", "A success without `costTime`", _scenario("no-cost-time"))
    yield case("result-spaced", "`resultJson` with spaces, escapes and further fields", _scenario("result-json-spaced"))  # fmt: skip


def _failures() -> Iterable[ClientCase]:
    matters = "A failed task has no result. A client that reports success hides it."
    for failure in contract().failures.values():
        yield ClientCase(
            f"failed.{failure.scenario}", f"The task fails with `{failure.code}`",
            matters, _CODES, _scenario(failure.scenario), Outcome.NO_RESULT,
        )  # fmt: skip
    unknown = _plan(outcome="failed", fail_code="NSFW", fail_msg="Not allowed.")
    title = "The task fails with a code that is not documented"
    yield ClientCase("failed.unknown", title, matters, _CODES, unknown, Outcome.NO_RESULT)


def _submits() -> Iterable[ClientCase]:
    for status in (400, 401, 402, 403, 404):
        yield ClientCase(
            f"submit.{status}", f"The submit is answered {status}",
            "A rejected submit has no task. Repeating it changes nothing.",
            REJECTED, _scenario(f"http-{status}"), Outcome.NO_RESULT,
        )  # fmt: skip
    for form in ("absent", "object"):
        yield ClientCase(
            f"submit.400-data-{form}", f"An error whose `data` is {form}",
            "Older pages show `data` as an object on errors, newer ones show none.",
            "Do not read `data` of an error.", _scenario(f"http-400-data-{form}"), Outcome.NO_RESULT,
        )  # fmt: skip
    yield ClientCase(
        "submit.no-balance", "The account has no balance",
        "A rejected submit has no task.", "Report that the balance is used up.",
        outcome=Outcome.NO_RESULT, balance="0",
    )  # fmt: skip
    too_many = "A client that does not wait makes the limit worse, and may be locked out."
    for name, title, rules in (
        ("once", "One submit is answered 429", _scenario("http-429", 1)),
        ("twice", "Two submits are answered 429", _scenario("http-429", 2)),
        (
            "date",
            "One submit is answered 429, `Retry-After` is a date",
            _scenario("http-429-date", 1),
        ),
    ):
        yield ClientCase(f"submit.429-{name}", title, too_many, BACKOFF, rules)
    yield ClientCase(
        "submit.429-always", "Every submit is answered 429", too_many, END, _scenario("http-429"),
        Outcome.NO_RESULT, endless=True,
    )  # fmt: skip
    for status in (500, 502, 503, 504):
        yield ClientCase(
            f"submit.{status}-once", f"One submit is answered {status}",
            _TWICE, _NO_REPEAT, _scenario(f"http-{status}", 1), Outcome.EITHER,
        )  # fmt: skip
        yield ClientCase(
            f"submit.{status}-always", f"Every submit is answered {status}",
            _TWICE, _NO_REPEAT, _scenario(f"http-{status}"), Outcome.NO_RESULT,
        )  # fmt: skip
    for fault, title in _WIRE.items():
        yield ClientCase(
            f"submit.{fault}", f"{title} the submit", _TWICE, _NO_REPEAT, _scenario(fault, 1), Outcome.EITHER
        )  # fmt: skip


_WIRE = {
    "reset": "The connection breaks after",
    "truncated": "A truncated response to",
    "drip": "A response that arrives byte by byte to",
    "invalid-json": "Invalid JSON in the response to",
    "html-502": "A gateway's HTML page in response to",
}


def _polls() -> Iterable[ClientCase]:
    def case(name: str, title: str, scenario: str, outcome: Outcome, advice: str) -> ClientCase:
        return ClientCase(
            f"status.{name}", title, _LOST, advice, _scenario(scenario), outcome,
            endless=outcome is Outcome.NO_RESULT,
        )  # fmt: skip

    for status in (429, 500, 502, 503, 504):
        for often, polls in (("once", "The first poll is"), ("twice", "The first two polls are")):
            yield case(
                f"{status}-{often}", f"{polls} answered {status}",
                f"status-http-{status}-{often}", Outcome.RESULT, _REPEAT_POLL,
            )  # fmt: skip
        yield case(
            f"{status}-always", f"Every poll is answered {status}",
            f"status-http-{status}", Outcome.NO_RESULT, END,
        )  # fmt: skip
    yield case(
        "429-date", "The first poll is answered 429, `Retry-After` is a date",
        "status-http-429-date-once", Outcome.RESULT, BACKOFF,
    )  # fmt: skip
    for status, title in {
        400: "the request is wrong",
        401: "the key is not valid",
        402: "the balance is used up",
        403: "the key must not use the model",
        404: "there is no such task",
    }.items():
        yield case(
            f"{status}-always", f"The submit is accepted, then every poll is answered {status}: {title}",
            f"status-http-{status}", Outcome.NO_RESULT, END,
        )  # fmt: skip
    yield case(
        "404-once", "The first poll finds no task yet", "status-http-404-once", Outcome.EITHER,
        "Repeat a 404 a few times right after the submit: the task may not be visible yet.",
    )  # fmt: skip
    for fault, title in _WIRE.items():
        yield case(
            f"{fault}-once", f"{title} a poll", f"status-{fault}-once", Outcome.RESULT, _REPEAT_POLL
        )


def _ends() -> Iterable[ClientCase]:
    yield ClientCase(
        "stuck", "A task that never ends", "A client without a time limit hangs for ever.", END,
        _scenario("stuck"), Outcome.NO_RESULT, endless=True,
    )  # fmt: skip
    broken = "What is saved as a picture must be one."
    for name, title, outcome in (
        ("result-404", "The result link answers 404, as after its expiry", Outcome.NO_RESULT),
        ("result-html", "The result link answers with an HTML page", Outcome.NO_RESULT),
        ("result-slow-2", "The download starts after two seconds", Outcome.RESULT),
    ):
        yield ClientCase(
            name.replace("-", ".", 1), title, broken, _RESULT, _scenario(name), outcome
        )
    for name, title, ms in (
        ("ahead", "The API's clock is a day ahead", _DAY_MS),
        ("behind", "The API's clock is a day behind", -_DAY_MS),
    ):
        yield ClientCase(
            f"clock.{name}", title, "Clocks differ. Times of the API are no times of your machine.",
            "Measure waiting times with a monotonic clock of your own.", skew_ms=ms,
        )  # fmt: skip


def client_cases() -> list[ClientCase]:
    """Return all cases."""
    return [case for group in (_states, _failures, _submits, _polls, _ends) for case in group()]
