"""The operator's verbs as a test wants them: times in seconds, and a wrong expectation raises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from numbers import Real
from typing import Any

from apixo_emulator.domain.clock import LATEST_MS
from apixo_emulator.domain.nearest import did_you_mean, shown
from apixo_emulator.domain.problems import found
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.verification import Expectation, Verification
from apixo_emulator.scenarios.rule_schema import rule_schema
from apixo_emulator.service.operator import Operator
from apixo_emulator.testing.errors import NotVerifiedError
from apixo_emulator.testing.journal_text import journal_text

_ALL = 10_000
_COUNTS = ("exactly", "at_least", "at_most")


class Steering:
    """Steers an emulator and looks at what happened: failures, time, tasks, callbacks, calls.

    ``operator`` has every verb of the control API, with JSON values as it gives them.
    """

    def __init__(self, operator: Operator) -> None:
        self.operator = operator

    # Failures on demand

    def scenario(
        self,
        *names: str,
        times: int | None = None,
        plan: Mapping[str, Any] | None = None,
        **match: Any,
    ) -> dict[str, Any]:
        """Have something happen to the next submits, and give the rule as it was understood.

        Args:
            names: Names of the vocabulary, such as ``SensitiveContent``, ``slow-12`` or
                ``http-429``; several happen together.
            times: To how many submits; without it, to all until it is removed.
            plan: What happens in detail, as in a scenario file.
            match: Which submits: ``image_url``, ``resolution``, ``output_format``, ``key``,
                ``headers``, ``call`` and ``probability``, as in a scenario file.

        Raises:
            ValueError: There is no such scenario, or no such rule; the message names the nearest.
        """
        _check_match(match)
        rule: dict[str, Any] = {}
        if names:
            rule["scenario"] = list(names)
        if times is not None:
            rule["times"] = times
        if plan is not None:
            rule["plan"] = plan
        if match:
            rule["match"] = match
        return self.operator.add_scenario(rule)

    @property
    def scenarios(self) -> list[dict[str, Any]]:
        """The active rules in the order in which they are tried, with how often each was used."""
        return self.operator.scenarios()

    def remove_scenario(self, rule: Mapping[str, Any] | str) -> None:
        """Remove one rule, as `scenario` gave it or by its id.

        Raises:
            LookupError: There is none.
        """
        if not isinstance(rule, str | Mapping):
            raise TypeError(
                f"expected a rule as `scenario` gave it, or its id; found {found(rule)}"
            )
        self.operator.remove_scenario(rule if isinstance(rule, str) else rule["id"])

    def clear_scenarios(self) -> None:
        """Remove all rules but those of a scenario file."""
        self.operator.clear_scenarios()

    # Time

    @property
    def now_ms(self) -> int:
        """The instant on the emulator's clock, in Unix ms."""
        return self.operator.now()

    # Tasks and callbacks

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The tasks, the oldest first; at most the latest thousand."""
        return self.operator.tasks(limit=1000)[::-1]

    def task(self, task_id: str) -> dict[str, Any]:
        """Give a task with its plan, and its callback with every attempt.

        Raises:
            LookupError: There is none.
        """
        return self.operator.task(task_id)

    @property
    def deliveries(self) -> list[dict[str, Any]]:
        """The callbacks with all their attempts, the oldest first; at most the latest thousand."""
        listed = self.operator.deliveries(limit=1000)[::-1]
        return [self.operator.delivery(entry["taskId"]) for entry in listed]

    # Money

    def top_up(self, key: str, usd: str) -> None:
        """Add USD, such as ``"5.00"``, to the balance of an API key.

        Raises:
            ValueError: It is no amount of money.
        """
        if not isinstance(key, str):
            raise TypeError(f"expected an API key, a text; found {found(key)}")
        self.operator.top_up(key, str(usd))

    # What happened

    @property
    def requests(self) -> Sequence[JournalEntry]:
        """The calls with their answers and why they were so, the oldest first; secrets are masked."""
        return self.operator.requests(limit=_ALL)

    def verify(self, **expected: Any) -> Verification:
        """Hold the calls against an expectation.

        Args:
            expected: How many, ``exactly``, ``at_least`` or ``at_most``, without them at least one;
                and which: ``call`` ("submit", "status", "balance", "file"), ``resolution``,
                ``image_url``, ``status`` and so on, see `core.call_filter.CallFilter`.

        Raises:
            NotVerifiedError: It is not met; the message has the nearest calls and what differs.
            TypeError: There is nothing of a name to be expected.
            ValueError: A value cannot be, or the numbers contradict each other.
        """
        __tracebackhide__ = True  # pytest shows the test, not this
        verified = self.operator.verify(_expectation(expected))
        if not verified:
            raise NotVerifiedError(str(verified))
        return verified

    def journal(self) -> str:
        """Give calls and callbacks as text, for people."""
        return journal_text(self.requests, self.deliveries)

    def har(self) -> dict[str, Any]:
        """Export the calls as HAR 1.2."""
        return self.operator.har()


def _check_match(given: Mapping[str, Any]) -> None:
    known = [*rule_schema()["properties"]["match"]["properties"], "times", "plan"]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"expected some of {', '.join(known)}; found {shown(name)}.{hint}")


def _expectation(given: Mapping[str, Any]) -> Expectation:
    known = [entry.name for entry in fields(Expectation)]
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(f"expected some of {', '.join(known)}; found {shown(name)}.{hint}")
    document = {name: value for name, value in given.items() if value is not None}
    count = {name: document.pop(name) for name in _COUNTS if name in document}
    return Expectation.from_json({**document, "count": count} if count else document)


def span_ms(seconds: float, minutes: float, hours: float) -> int:
    """Give how far the clock is to be moved on, in ms.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, or beyond what a clock shows.
    """
    total = 0.0
    parts: tuple[tuple[str, int, Any], ...] = (
        ("seconds", 1, seconds),
        ("minutes", 60, minutes),
        ("hours", 3600, hours),
    )
    for name, each_s, given in parts:
        if isinstance(given, bool) or not isinstance(given, Real | Decimal):
            raise TypeError(f"{name}: expected a number such as 41; found {found(given)}")
        total += each_s * _as_float(given)
    if not 0 <= total * 1000 <= LATEST_MS:
        expected = f"expected a time to advance, 0 or more and at most {LATEST_MS // 1000} s"
        raise ValueError(f"{expected}, found {total:g} s")
    return round(total * 1000)


def _as_float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer beyond all floats
        return math.inf
