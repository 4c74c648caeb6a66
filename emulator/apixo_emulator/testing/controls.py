"""What a test does with an emulator, in process or on a port, and what it looks at afterwards."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import Any

from apixo_emulator.domain.accounts import micros
from apixo_emulator.domain.clock import LATEST_MS
from apixo_emulator.domain.problems import found
from apixo_emulator.domain.text import did_you_mean, shown
from apixo_emulator.journal.audit import Finding, audit
from apixo_emulator.journal.entry import JournalEntry, as_text
from apixo_emulator.journal.verify import Expectation, Verification
from apixo_emulator.scenarios.schema import rule_schema
from apixo_emulator.service import Emulator, Options, WorldOptions
from apixo_emulator.service.control import MOST_LISTED, WorldControl
from apixo_emulator.settings import Settings
from apixo_emulator.testing import routing
from apixo_emulator.testing.clock import RealTimeLoop, real_ns
from apixo_schemas import contract

_ALL = 10_000
_COUNTS = ("exactly", "at_least", "at_most")
# Of the journal as text: calls, and characters of a body.
_MOST_CALLS = 50
_LONGEST_BODY = 400
# What a server that is shared by a session's tests can take anew for each of them.
_OPTIONS = ("seed", "latency", "balance", "scenario")
_FAST = "fast"
_PATIENCE_S = 30.0


class NotVerifiedError(AssertionError):
    """The calls are not those that were expected; the message says what differs."""


class Controls:
    """Failures, time, tasks, callbacks, money and calls of an emulator.

    ``operator`` has every operation of the control API, with JSON values as it returns them.
    """

    def __init__(self, operator: WorldControl) -> None:
        self.operator = operator

    # Failures on demand

    def scenario(
        self,
        *names: str,
        times: int | None = None,
        plan: Mapping[str, Any] | None = None,
        **match: Any,
    ) -> dict[str, Any]:
        """Make something happen to the next submits, and return the rule as it was read.

        Args:
            names: Names of the vocabulary, such as ``SensitiveContent``, ``slow-12`` or
                ``http-429``; several happen together.
            times: To how many submits; without it, to all until the rule is removed.
            plan: What happens in detail, as in a scenario file.
            match: Which submits: ``image_url``, ``resolution``, ``output_format``, ``key``,
                ``headers``, ``call`` and ``probability``, as in a scenario file.

        Raises:
            ValueError: There is no such scenario, or no such rule; the message names the nearest.
        """
        matchable = rule_schema()["properties"]["match"]["properties"]
        _check_names(match, [*matchable, "times", "plan"], ValueError)
        rule = {"scenario": list(names), "times": times, "plan": plan, "match": match}
        empty: tuple[object, ...] = ([], None, {})
        return self.operator.add_scenario(
            {name: value for name, value in rule.items() if value not in empty}
        )

    @property
    def scenarios(self) -> list[dict[str, Any]]:
        """The active rules in the order in which they are tried, with how often each was used."""
        return self.operator.scenarios()

    def remove_scenario(self, rule: Mapping[str, Any] | str) -> None:
        """Remove one rule, as `scenario` returned it or by its id.

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
        return self.operator.tasks(limit=MOST_LISTED)[::-1]

    def task(self, task_id: str) -> dict[str, Any]:
        """Return a task with its plan, and its callback with every attempt.

        Raises:
            LookupError: There is none.
        """
        return self.operator.task(task_id)

    def finish(
        self, task_id: str, *, fail_code: str | None = None, fail_msg: str | None = None
    ) -> dict[str, Any]:
        """End a task now, with success or with a failure code, and return it.

        In process its callback is made at once, on a port soon.

        Raises:
            LookupError: There is no such task.
            ConflictError: It has ended already.
        """
        self.operator.finish(task_id, fail_code=fail_code, fail_msg=fail_msg)
        self._deliver_now()
        return self.task(task_id)

    def redeliver(self, task_id: str) -> dict[str, Any]:
        """Make a task's callback again, as soon as `finish` does, and return it.

        Raises:
            LookupError: There is no such task, or it has no callback.
            ConflictError: The task has not ended.
        """
        self.operator.redeliver(task_id)
        self._deliver_now()
        return self.operator.delivery(task_id)

    def _deliver_now(self) -> None:
        """Make the callbacks that are due, unless a worker does that."""

    @property
    def deliveries(self) -> list[dict[str, Any]]:
        """The callbacks with all their attempts, the oldest first; at most the latest thousand."""
        listed = self.operator.deliveries(limit=MOST_LISTED)[::-1]
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
        """Compare the calls with an expectation.

        Args:
            expected: How many, ``exactly``, ``at_least`` or ``at_most``, without them at least one;
                and which: ``call`` ("submit", "status", "balance", "file"), ``resolution``,
                ``image_url``, ``status`` and so on, see `journal.filters.CallFilter`.

        Raises:
            NotVerifiedError: It is not met; the message has the nearest calls and what differs.
            TypeError: An expectation of this name does not exist.
            ValueError: A value cannot be, or the numbers contradict each other.
        """
        __tracebackhide__ = True  # pytest shows the test, not this
        verified = self.operator.verify(_expectation(expected))
        if not verified:
            raise NotVerifiedError(str(verified))
        return verified

    def audit(self) -> list[Finding]:
        """Return what would cost money or lose a result in production; see `journal.audit`."""
        return audit(self.requests, self.tasks, self.deliveries)

    def journal(self) -> str:
        """Return the latest calls, each with the reason for its response, and all callbacks, as text.

        Times count from the first call on the emulator's clock.
        """
        calls = self.requests
        if not calls:
            return "The emulator was not called."
        start_ms = calls[0].at_ms
        left_out = len(calls) - _MOST_CALLS
        lines = [f"… {left_out} earlier calls"] if left_out > 0 else []
        for call in calls[-_MOST_CALLS:]:
            lines.extend(_call_lines(call, start_ms))
        for delivery in self.deliveries:
            lines.extend(_delivery_lines(delivery, start_ms))
        return "\n".join(lines)

    def har(self) -> dict[str, Any]:
        """Return the calls as HAR 1.2."""
        return self.operator.har()


def _call_lines(call: JournalEntry, start_ms: int) -> Iterator[str]:
    query = f"?{call.query}" if call.query else ""
    at = _seconds(call.at_ms - start_ms)
    yield f"#{call.number} {at} {call.method} {call.path}{query} -> {call.status}"
    if call.request_body:
        yield f"    sent: {_short(call.request_body)}"
    if call.response_body:
        yield f"    got:  {_short(call.response_body)}"
    if call.decision:
        yield f"    why:  {call.decision}"
    for rule, reason in call.why_not:
        yield f"    not by rule {rule}: {reason}"


def _delivery_lines(delivery: Mapping[str, Any], start_ms: int) -> Iterator[str]:
    yield f"callback of {delivery['taskId']} to {delivery['url']}: {delivery['state']}"
    for attempt in delivery["attempts"]:
        came = attempt["error"] or f"answered {attempt['status']}"
        yield f"    {_seconds(attempt['time'] - start_ms)} attempt {attempt['number']}: {came}"


def _seconds(ms: int) -> str:
    return f"+{ms / 1000:.3f}s"


def _short(body: bytes) -> str:
    text, encoding = as_text(body)
    if encoding is not None:
        return f"{len(body)} bytes"
    if len(text) <= _LONGEST_BODY:
        return text
    return f"{text[:_LONGEST_BODY]}… ({len(text)} characters)"


def _expectation(given: Mapping[str, Any]) -> Expectation:
    _check_names(given, [entry.name for entry in fields(Expectation)], TypeError)
    document = {name: value for name, value in given.items() if value is not None}
    count = {name: document.pop(name) for name in _COUNTS if name in document}
    return Expectation.from_json({**document, "count": count} if count else document)


def _check_names(
    given: Iterable[str], known: Sequence[str], error: type[TypeError | ValueError]
) -> None:
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise error(f"expected some of {', '.join(known)}; found {shown(name)}.{hint}")


def span_ms(seconds: float, minutes: float, hours: float) -> int:
    """Return how far the clock is to be moved on, in ms.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, or beyond what a clock shows.
    """
    given: dict[str, Any] = {"seconds": seconds, "minutes": minutes, "hours": hours}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, Real | Decimal):
            raise TypeError(f"{name}: expected a number such as 41; found {found(value)}")
    total = float(seconds) + 60 * float(minutes) + 3600 * float(hours)
    if not 0 <= total * 1000 <= LATEST_MS:
        expected = f"expected a time to advance, 0 or more and at most {LATEST_MS // 1000} s"
        raise ValueError(f"{expected}, found {total:g} s")
    return round(total * 1000)


# An emulator on a port


class Served(Controls):
    """A running emulator; ``base_url`` is the API's. Its clock runs, unless frozen or advanced."""

    def __init__(self, emulator: Emulator, base_url: str) -> None:
        super().__init__(WorldControl(emulator))
        self._emulator = emulator
        self.base_url = base_url

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0) -> None:
        """Move the clock on; callbacks that fall due are posted soon.

        Raises:
            TypeError: The time is no number.
            ValueError: The time is negative, or beyond what a clock shows.
        """
        self.operator.advance(span_ms(seconds, minutes, hours))

    def freeze(self) -> None:
        """Stop the clock; `advance` still moves it."""
        self.operator.set_clock(frozen=True)

    def reset(self, **options: Any) -> None:
        """Begin anew, for the next test.

        Args:
            options: ``seed``, ``latency``, ``balance`` and ``scenario``, as in `intercept`.

        Raises:
            TypeError: There is no such option for a server that tests share.
            ValueError: A value is out of range.
        """
        for name in options:
            if name not in _OPTIONS:
                raise TypeError(
                    f"apixo_server takes {', '.join(_OPTIONS)}, found {name!r}: tests share it."
                    " The fixture apixo takes all options."
                )
        from apixo_emulator.testing.interception import Setup

        setup = Setup.of(**{"latency": _FAST, **options})
        settings = setup.settings
        self._emulator.retune(settings.latency, settings.balance)
        self.operator.reset(settings.seed)
        if setup.scenario:
            self.scenario(*setup.scenario)


@contextmanager
def serving() -> Iterator[Served]:
    """Serve on a free port of this machine until the block ends."""
    # What only a server needs is loaded here.
    from apixo_emulator.pictures import PictureStore
    from apixo_emulator.serve import Embedded
    from apixo_emulator.storage import SqliteStore

    with tempfile.TemporaryDirectory(prefix="apixo-emulator-") as folder:
        pictures = PictureStore(Path(folder) / "pictures")
        latency = Settings.of(latency=_FAST).latency
        options = Options(latency, micros("100"), worlds=WorldOptions(seed=0))
        emulator = Emulator(SqliteStore(None), pictures, options, _clock())
        server = Embedded(emulator, pictures)
        thread = threading.Thread(
            target=server.run, args=(RealTimeLoop,), name="apixo-emulator", daemon=True
        )
        thread.start()
        try:
            base_url = routing.base_url_of(server.ready(_PATIENCE_S))
            routing.served.add(base_url.origin)
            yield Served(emulator, base_url.url + contract().prefix)
        finally:
            server.stop()
            thread.join(_PATIENCE_S)


def _clock() -> Callable[[], int]:
    """Return a clock in Unix ms that runs although a test has frozen the time."""
    start_ms, start_ns = time.time_ns() // 1_000_000, real_ns()
    return lambda: start_ms + (real_ns() - start_ns) // 1_000_000
