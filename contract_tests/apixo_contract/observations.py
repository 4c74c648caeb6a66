"""What a run observed: every call with its answer, every callback. Checks read only this.

The values are frozen, hold no secret (`Mask` has processed all that came from outside) and survive
a round trip through JSON, so that a run can be kept and judged again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any

from apixo_contract.oracle import Expectation, expect_text
from apixo_contract.text import json_or_none
from apixo_schemas import contract

_SUCCESS = range(200, 300)
_FIRST_ERROR = 400


class Key(StrEnum):
    """How a call was authorised."""

    OWN = "own"
    # No valid key by the documented header.
    NONE = "none"
    EMPTY = "empty"
    SCHEME = "other scheme"
    BARE = "no scheme"
    QUERY = "in the query"
    # A key that was invented for this run, and the own key with one letter or its case changed.
    WRONG = "wrong"
    LONGER = "one letter more"
    SHORTER = "one letter less"
    OTHER_CASE = "other case"


class Purpose(StrEnum):
    """What a call was made for."""

    # A body that costs nothing on a correct target: it breaks documented rules.
    BODY = "body"
    # A body that tests an assumption; `probe` names the assumption.
    PROBE = "probe"
    # A planned task; `probe` is its name.
    TASK = "task"
    # A call without a valid key.
    KEY = "key"
    # A poll of an own task until its end, and after its end.
    POLL = "poll"
    POLL_AGAIN = "poll-again"
    # A poll of a task that does not exist; of an own task under another model id.
    POLL_UNKNOWN = "poll-unknown"
    POLL_MODEL = "poll-model"
    BALANCE = "balance"
    RESULT = "result"
    # A try that was answered with 429 or 5xx, or broke off; the call itself was repeated.
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Picture:
    """Format and size from the first bytes of a result; the format is None if it is no JPG, PNG or WebP.

    ``is_whole`` is false if it was read to its end and is cut off, None if only its head was read.
    """

    format: str | None
    width: int
    height: int
    is_whole: bool | None = None

    @property
    def long_edge(self) -> int:
        """Return the longer side in pixels; 0 if the bytes do not hold it."""
        return max(self.width, self.height)


@dataclass(frozen=True)
class Exchange:
    """One HTTP call and its answer. Times are local, in Unix ms.

    Attributes:
        status: None if no answer came; `trouble` says why.
        probe: The name of the probe or planned task.
        task_id: The task that the call asks about.
    """

    number: int
    purpose: Purpose
    method: str
    url: str
    sent_ms: int
    received_ms: int
    key: Key = Key.OWN
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    status: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    trouble: str | None = None
    probe: str = ""
    task_id: str | None = None
    picture: Picture | None = None

    @cached_property
    def json(self) -> Any:
        """Return the parsed answer, numbers with a point as `Decimal`; None if it is not JSON."""
        return json_or_none(self.text)

    @property
    def envelope(self) -> Mapping[str, Any]:
        """Return the answer as an object, an empty one if it is none."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def data(self) -> Any:
        """Return the envelope's `data`."""
        return self.envelope.get("data")

    @property
    def message(self) -> str | None:
        """Return the envelope's `message` if it is a text."""
        found = self.envelope.get("message")
        return found if isinstance(found, str) else None

    @property
    def is_error(self) -> bool:
        """True if the HTTP status says that the call failed."""
        return self.status is not None and self.status >= _FIRST_ERROR

    @property
    def succeeded(self) -> bool:
        """True if the status says that the call succeeded and `code` does not deny it."""
        code = self.envelope.get("code")
        denied = isinstance(code, int) and code >= _FIRST_ERROR
        return self.status in _SUCCESS and not denied

    @property
    def submitted_id(self) -> str | None:
        """Return the id of the task that a submit started."""
        found = self.task.get("taskId") if self.method == "POST" and self.succeeded else None
        return found if isinstance(found, str) and found else None

    @property
    def task(self) -> Mapping[str, Any]:
        """Return `data` as an object, an empty one if it is none."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def state(self) -> str | None:
        """Return the task's state if it is a text."""
        found = self.task.get("state")
        return found if isinstance(found, str) else None

    @property
    def balance(self) -> Decimal | None:
        """Return the balance in USD if the call succeeded and `data` is a number."""
        found = self.data if self.succeeded else None
        if isinstance(found, bool) or not isinstance(found, int | Decimal):
            return None
        return Decimal(found)

    # What a submit asked for

    @cached_property
    def expected(self) -> Expectation | None:
        """Return what the contract says of the body; None if it is not JSON."""
        try:
            return expect_text(self.body or "")
        except ValueError:
            return None

    @cached_property
    def sent(self) -> Mapping[str, Any]:
        """Return the parsed body, an empty object if it is none."""
        found = json_or_none(self.body or "")
        return found if isinstance(found, dict) else {}

    @property
    def asked(self) -> Mapping[str, Any]:
        """Return the body's ``input``, an empty object if it is none."""
        found = self.sent.get("input")
        return found if isinstance(found, dict) else {}

    @property
    def name(self) -> str:
        """Return the name of the probe or planned task, without what distinguishes repetitions."""
        return self.probe.partition("/")[0]

    @property
    def is_open(self) -> bool:
        """True if a success names no task: it shows neither that the body was taken nor refused."""
        return self.succeeded and self.submitted_id is None

    @property
    def is_valid(self) -> bool:
        """True if the contract accepts the body."""
        return self.expected is not None and self.expected.accepted

    def value(self, name: str) -> Any:
        """Return a parameter of ``input`` with its default, in its normal form."""
        given = self.asked.get(name)
        given = contract().defaults.get(name) if given is None else given
        if name == "resolution" and isinstance(given, str):
            return given.lower()
        return contract().format_aliases.get(given, given) if isinstance(given, str) else given

    @property
    def by_callback(self) -> bool:
        """True if the final answer was to be called back."""
        return self.sent.get("request_type") == "callback"

    @property
    def callback_url(self) -> str:
        """Return the callback address; an empty text if there is none."""
        return str(self.sent.get("callback_url") or "")


@dataclass(frozen=True)
class CallbackSeen:
    """One call that the run's receiver got, and the status that it answered."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    text: str
    received_ms: int
    answered: int

    @cached_property
    def json(self) -> Any:
        """Return the parsed body; None if it is not JSON."""
        return json_or_none(self.text)

    @property
    def task(self) -> Mapping[str, Any]:
        """Return the payload's `data` as an object, an empty one if it is none."""
        data = self.json.get("data") if isinstance(self.json, dict) else None
        return data if isinstance(data, dict) else {}

    @property
    def task_id(self) -> str | None:
        """Return the id of the task in the payload."""
        found = self.task.get("taskId")
        return found if isinstance(found, str) else None


@dataclass(frozen=True, slots=True)
class PropertySeen:
    """What became of a property of the client on the target.

    Attributes:
        id: Such as ``client.view``.
        passed: None if it was not tried.
        message: Why it was not tried; or the smallest example that failed, with its calls.
        examples: How many examples were tried.
    """

    id: str
    passed: bool | None = None
    message: str = ""
    examples: int = 0


@dataclass(frozen=True)
class Run:
    """One run against one target.

    Attributes:
        options: What was asked of the run: image URLs, budget, waiting times. No secrets.
        notes: Why something was not done, by topic, such as `callbacks` or `budget`.
    """

    target: str
    seed: int
    started_ms: int
    ended_ms: int
    live: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()
    callbacks: tuple[CallbackSeen, ...] = ()
    properties: tuple[PropertySeen, ...] = ()

    def of(self, *purposes: Purpose) -> list[Exchange]:
        """Return the calls of these purposes, in their order."""
        return [found for found in self.exchanges if found.purpose in purposes]
