"""What a run saw: every call with its answer, every callback. Judges read this and nothing else.

The values are frozen, hold no secret (`Mask` has gone over all that comes from outside) and
survive a round trip through JSON, so that a run can be kept and judged again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from apixo_contract._reading import parsed

FORM = 1


class Key(StrEnum):
    """Which key a call carried."""

    OWN = "own"
    NONE = "none"
    # One that was made up for this run.
    WRONG = "wrong"


class Purpose(StrEnum):
    """What a call was made for."""

    # A body that costs nothing on a correct target: it is refused on documented grounds.
    BODY = "body"
    # A body whose fate rests on an assumption; `probe` names it.
    PROBE = "probe"
    # A planned task; `probe` names which.
    TASK = "task"
    # A call with a key that must not open anything.
    KEY = "key"
    # A poll of an own task, on its way to the end.
    POLL = "poll"
    # A poll of an own task that has ended before.
    POLL_AGAIN = "poll-again"
    # A poll of a task that is not there; of an own task under another model id.
    POLL_UNKNOWN = "poll-unknown"
    POLL_MODEL = "poll-model"
    BALANCE = "balance"
    RESULT = "result"
    # A try that was turned away as busy, or broke off; the call itself was made again.
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Picture:
    """A fetched result: what its first bytes say."""

    format: str | None
    width: int
    height: int

    @property
    def long_edge(self) -> int:
        """Give the longer side in pixels; 0 where the bytes did not tell."""
        return max(self.width, self.height)


@dataclass(frozen=True)
class Exchange:
    """One HTTP call and its answer. Times are local, in Unix ms."""

    number: int
    purpose: Purpose
    method: str
    url: str
    sent_ms: int
    received_ms: int
    key: Key = Key.OWN
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    # None where no answer came; `trouble` says why.
    status: int | None = None
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    trouble: str | None = None
    # Which probe or planned task this is; the task's id where the call is about one.
    probe: str = ""
    task_id: str | None = None
    picture: Picture | None = None

    @cached_property
    def json(self) -> Any:
        """Give the parsed answer, numbers with a point as `Decimal`; None where it is no JSON."""
        try:
            return parsed(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def envelope(self) -> Mapping[str, Any]:
        """Give the answer as an object, an empty one where it is none."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def data(self) -> Any:
        """Give the envelope's `data`."""
        return self.envelope.get("data")

    @property
    def message(self) -> str | None:
        """Give the envelope's `message` where it is a text."""
        found = self.envelope.get("message")
        return found if isinstance(found, str) else None

    @property
    def succeeded(self) -> bool:
        """Whether the target says that it did what was asked: by status, and not denied by code."""
        if self.status is None or not 200 <= self.status < 300:  # noqa: PLR2004 - HTTP's successes
            return False
        code = self.envelope.get("code")
        return not (isinstance(code, int) and code >= 400)  # noqa: PLR2004 - HTTP's errors

    @property
    def accepted(self) -> bool:
        """Whether a submit was taken: it may cost money then."""
        return self.succeeded

    @property
    def submitted_id(self) -> str | None:
        """Give the id of the task that a submit started."""
        found = self.data.get("taskId") if isinstance(self.data, dict) else None
        return found if isinstance(found, str) and found else None

    @property
    def task(self) -> Mapping[str, Any]:
        """Give `data` of a status answer as an object, an empty one where it is none."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def state(self) -> str | None:
        """Give the task's state where it is a text."""
        found = self.task.get("state")
        return found if isinstance(found, str) else None

    @property
    def balance(self) -> Decimal | None:
        """Give the balance in USD where it is a number."""
        found = self.data
        if isinstance(found, bool) or not isinstance(found, int | Decimal):
            return None
        return Decimal(found)


@dataclass(frozen=True)
class CallbackSeen:
    """One call that came in at our receiver."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    text: str
    received_ms: int
    # The status that we answered.
    answered: int

    @cached_property
    def json(self) -> Any:
        """Give the parsed body; None where it is no JSON."""
        try:
            return parsed(self.text)
        except (ValueError, RecursionError):
            return None

    @property
    def task(self) -> Mapping[str, Any]:
        """Give the payload's `data` as an object, an empty one where it is none."""
        data = self.json.get("data") if isinstance(self.json, dict) else None
        return data if isinstance(data, dict) else {}

    @property
    def task_id(self) -> str | None:
        """Give the id of the task that it tells of."""
        found = self.task.get("taskId")
        return found if isinstance(found, str) else None


@dataclass(frozen=True)
class Run:
    """One run against one target."""

    target: str
    seed: int
    started_ms: int
    ended_ms: int
    live: bool = False
    # What was asked of the run: image URLs, budget, waiting times. No secrets.
    options: Mapping[str, Any] = field(default_factory=dict)
    # Why something was not done, by topic, such as `callbacks` or `budget`.
    notes: Mapping[str, str] = field(default_factory=dict)
    exchanges: tuple[Exchange, ...] = ()
    callbacks: tuple[CallbackSeen, ...] = ()

    def of(self, *purposes: Purpose) -> list[Exchange]:
        """Give the calls of these purposes, in their order."""
        return [found for found in self.exchanges if found.purpose in purposes]

    @property
    def submits(self) -> list[Exchange]:
        """Give every call of the submit endpoint under the own key."""
        found = self.of(Purpose.BODY, Purpose.PROBE, Purpose.TASK)
        return [exchange for exchange in found if exchange.body is not None]

    def to_lines(self) -> Iterator[str]:
        """Give the run as JSON lines: its head, then one line for each call and callback."""
        head = {name.name: getattr(self, name.name) for name in fields(self)[:-2]}
        yield _line({"form": FORM, **head})
        for exchange in self.exchanges:
            yield _line({"call": _lean(exchange)})
        for callback in self.callbacks:
            yield _line({"callback": _lean(callback)})

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Self:
        """Read what `to_lines` wrote.

        Raises:
            ValueError: It is no such text, or one of another form.
        """
        read = [json.loads(line) for line in lines if line.strip()]
        if not read or not isinstance(read[0], dict) or read[0].pop("form", None) != FORM:
            raise ValueError(f"expected the JSON lines of a run, form {FORM}, found something else")
        try:
            calls = tuple(_exchange(line["call"]) for line in read[1:] if "call" in line)
            seen = tuple(
                CallbackSeen(**line["callback"]) for line in read[1:] if "callback" in line
            )
            return cls(**read[0], exchanges=calls, callbacks=seen)
        except (TypeError, KeyError) as error:
            raise ValueError(f"expected the JSON lines of a run, found: {error}") from None


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lean(value: Exchange | CallbackSeen) -> dict[str, Any]:
    return {name: part for name, part in asdict(value).items() if part not in (None, "", {})}


def _exchange(line: Mapping[str, Any]) -> Exchange:
    picture = line.get("picture")
    known = {
        **line,
        "purpose": Purpose(line["purpose"]),
        "key": Key(line.get("key", Key.OWN)),
        "picture": Picture(**picture) if picture else None,
    }
    return Exchange(**known)
