"""The operator's verbs as a test wants them: times in seconds, and a wrong expectation raises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apixo_emulator.core.journal import JournalEntry
from apixo_emulator.core.verification import Expectation, Verification
from apixo_emulator.interception.errors import NotVerifiedError
from apixo_emulator.interception.journal_text import journal_text
from apixo_emulator.service import Operator

_ALL = 10_000


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
        self.operator.top_up(key, usd)

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
            ValueError: The numbers contradict each other.
        """
        __tracebackhide__ = True  # pytest shows the test, not this
        found = self.operator.verify(Expectation(**expected))
        if not found:
            raise NotVerifiedError(str(found))
        return found

    def journal(self) -> str:
        """Give calls and callbacks as text, for people."""
        return journal_text(self.requests, self.deliveries)

    def har(self) -> dict[str, Any]:
        """Export the calls as HAR 1.2."""
        return self.operator.har()
