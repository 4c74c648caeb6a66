"""Effects: what a scenario or a rule changes about a call and its task, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from apixo_emulator.domain.wire import WireFault

# The default time between a callback and the first poll that shows the end.
BEFORE_DONE_MS = 2000
# The default of ``Retry-After``: long enough to be noticed, short enough to wait for.
RETRY_AFTER_S = 2


class Quirk(StrEnum):
    """A rare but allowed response of the status endpoint."""

    STATE_UNKNOWN = "state-unknown"
    NO_COST_TIME = "no-cost-time"
    EXTRA_FIELDS = "extra-fields"
    DATA_MISSING = "data-missing"
    RESULT_JSON_SPACED = "result-json-spaced"


@dataclass(frozen=True, slots=True)
class Value:
    """A value that is written to JSON without the fields that have their defaults."""

    def given(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults."""
        pairs = ((entry, getattr(self, entry.name)) for entry in fields(self))
        return {
            entry.name: value
            for entry, value in pairs
            if entry.default is MISSING or value != entry.default
        }

    def to_json(self) -> dict[str, Any]:
        """Return `given` as JSON values."""
        return {name: _plain(value) for name, value in self.given().items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        read = ((name, _READERS.get(name), value) for name, value in document.items())
        return cls(**{name: reader(value) if reader else value for name, reader, value in read})


@dataclass(frozen=True, slots=True)
class Fault(Value):
    """An error instead of the response of a call, or damage to its response.

    ``error`` is an id of the contract's errors: the call then has no effect. A ``wire`` fault damages
    the response; without an error the call takes effect. ``retry_after_form`` is ``date`` if the wait
    is written as a date. ``error_data`` is the form of the error's ``data``: ``absent``, or an
    ``object`` (platform fact P2).
    """

    error: str | None = None
    wire: WireFault | None = None
    retry_after_s: int | None = None
    retry_after_form: str | None = None
    error_data: str | None = None

    @property
    def name(self) -> str:
        """The name in the journal: the error's id, or the kind of damage."""
        return self.error or str(self.wire)


@dataclass(frozen=True, slots=True)
class CallbackEffects(Value):
    """How a task's callback is delivered.

    ``copies`` is how many times it is sent to a receiver that accepts it. ``late_ms`` is the time from
    the end of the task until it is due, ``poll_lag_ms`` the time from the callback until polls show
    the end.
    """

    lost: bool = False
    copies: int = 1
    late_ms: int = 0
    malformed: bool = False
    poll_lag_ms: int = 0


@dataclass(frozen=True, slots=True)
class ResultEffects(Value):
    """How the result's address responds.

    ``missing`` is a 404 as after the expiry, ``html`` a page instead of a picture. ``delay_ms`` is the
    time that a server waits before it sends the picture; in process there is no such wait.
    """

    missing: bool = False
    html: bool = False
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class Duration(Value):
    """How long a task takes from submit to its end: ``total_ms``, or a log-normal distribution.

    For the first ``pending_ms`` of it the task is pending. A field of None is not changed.
    """

    total_ms: int | None = None
    median_ms: float | None = None
    sigma: float | None = None
    pending_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Effects(Value):
    """All effects of a scenario or a rule. ``name`` is shown to people.

    ``failure`` is the code and the message that the task ends with. ``succeed`` makes it succeed
    whatever its source picture is. ``stuck`` means that it never ends. ``status_fault_times`` is the
    number of polls that fail, the first ones; None means all.
    """

    name: str
    failure: tuple[str, str] | None = None
    succeed: bool = False
    duration: Duration | None = None
    stuck: bool = False
    submit_fault: Fault | None = None
    status_fault: Fault | None = None
    status_fault_times: int | None = None
    callback: CallbackEffects = CallbackEffects()
    result: ResultEffects = ResultEffects()
    quirks: frozenset[Quirk] = frozenset()


ORDINARY = Effects("")
"""What happens without a scenario or a rule."""

# How `Value.from_json` reads the fields that are not JSON values.
_READERS: Mapping[str, Any] = {
    "wire": WireFault,
    "failure": tuple,
    "duration": Duration.from_json,
    "submit_fault": Fault.from_json,
    "status_fault": Fault.from_json,
    "callback": CallbackEffects.from_json,
    "result": ResultEffects.from_json,
    "quirks": lambda names: frozenset(map(Quirk, names)),
}


def _plain(value: Any) -> Any:
    match value:
        case Value():
            return value.to_json()
        case frozenset():
            return sorted(value)
        case tuple():
            return list(value)
        case StrEnum():
            return value.value
        case _:
            return value
