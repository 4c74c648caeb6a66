"""One call on its way through the gate, and what is found out about it for the journal."""

from __future__ import annotations

from apixo_emulator.domain.accounts import Account
from apixo_emulator.domain.wire import HttpRequest
from apixo_emulator.service.worlds import World


class Call:
    """A request with its caller and world; what decides about it writes down why.

    The one mutable object of the gate: it lives as long as the call, then the journal reads it.
    """

    __slots__ = (
        "account",
        "at_ms",
        "began_ns",
        "broken_rule",
        "decision",
        "endpoint",
        "fault",
        "key",
        "request",
        "rule",
        "scenario",
        "task_id",
        "why_not",
        "world",
    )

    def __init__(self, request: HttpRequest, world: World, at_ms: int, began_ns: int) -> None:
        self.request = request
        self.world = world
        self.at_ms = at_ms
        # On the machine's performance counter.
        self.began_ns = began_ns
        self.account: Account | None = None
        self.key: str | None = None
        self.endpoint = ""
        self.task_id: str | None = None
        # The id of the contract's rule that the body breaks.
        self.broken_rule: str | None = None
        # The scenario that was asked for, the rule that asked, and why the other rules did not.
        self.scenario: str | None = None
        self.rule: str | None = None
        self.why_not: tuple[tuple[str, str], ...] = ()
        self.fault: str | None = None
        self.decision = ""

    @property
    def world_id(self) -> str:
        """The id of its world."""
        return self.world.id
