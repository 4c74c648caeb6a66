"""Which calls of the journal match, and in words what differs in the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import orjson

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.domain.text import fits, shown
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.secrets import AUTHORIZATION, HIDDEN, Mask, mask_of
from apixo_schemas import contract

_BEARER = "Bearer "
# Names of a filter: of texts with *, of parameters of a submit, and of facts of any call.
PATTERNS = frozenset({"image_url", "callback_url", "message", "path"})
_PARAMETERS = ("resolution", "output_format", "request_type")
_OF_ENTRY = ("broken_rule", "fault", "key", "path", "rule", "scenario", "status", "task_id")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def _meant(name: str, value: str | None) -> str | None:
    if value is not None and name == "resolution":
        return value.lower()
    if value is not None and name == "output_format":
        return contract().format_aliases.get(value, value)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """Picks calls. What is None or empty is not compared.

    In ``image_url``, ``callback_url``, ``message``, ``path`` and the values of ``headers`` a ``*``
    stands for anything. ``call`` is an endpoint: ``submit``, ``status``, ``balance``, ``file``.
    ``key`` is a key, or its mask as the journal shows it. Keys with the same mask are not distinguished,
    also in an ``Authorization`` header. Secrets elsewhere, in URLs for example, are compared as the
    journal shows them. A parameter that a submit leaves out counts with its default.
    """

    call: str | None = None
    resolution: str | None = None
    output_format: str | None = None
    request_type: str | None = None
    image_url: str | None = None
    callback_url: str | None = None
    key: str | None = None
    status: int | None = None
    message: str | None = None
    task_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    scenario: str | None = None
    rule: str | None = None
    broken_rule: str | None = None
    fault: str | None = None

    def matches(self, entry: JournalEntry) -> bool:
        """Return whether a call matches."""
        return not self.differences(entry)

    def differences(self, entry: JournalEntry) -> tuple[str, ...]:
        """Return what differs in a call, a part of a sentence for each; none if it matches."""
        facts, hides = _facts(entry), self._mask()
        found = [
            _difference(facts, name, wanted, hides)
            for name in filter_names()
            if (wanted := getattr(self, name)) is not None
        ]
        found += [_header(entry, name, wanted, hides) for name, wanted in self.headers.items()]
        return tuple(filter(None, found))

    def _mask(self) -> Mask:
        """Return the mask of the secrets that the filter asks for."""
        headers = [
            (name.encode(), value.encode())
            for name, value in self.headers.items()
            if HIDDEN not in value
        ]
        return mask_of(headers, [self.key] if self.key and HIDDEN not in self.key else [])

    def words(self, number: int = 1) -> str:
        """Return in words which calls match, e.g. ``submit with resolution 8k``; ``number`` of them."""
        hides = self._mask()
        given = ((name, getattr(self, name)) for name in filter_names() if name != "call")
        parts = [
            f"{name} {_short(_hidden(name, value, hides))}"
            for name, value in given
            if value is not None
        ]
        parts += [
            f"header {name} {_short(_hidden_header(name, value, hides))}"
            for name, value in self.headers.items()
        ]
        return f"{noun(self.call, number)}{' with ' if parts else ''}{_listed(parts)}"


@cache
def filter_names() -> tuple[str, ...]:
    """Return the names of what a filter compares, beside headers."""
    return tuple(entry.name for entry in fields(CallFilter) if entry.name != "headers")


def noun(call: str | None, number: int) -> str:
    """Return what calls of an endpoint are called, None for any: ``submits``, ``status calls``, ``call``."""
    name = {None: "call", "submit": "submit"}.get(call, f"{call} call")
    return name if number == 1 else f"{name}s"


# What a call has, by the names of a filter; None is what it does not have.
_Facts = Mapping[str, Any]


def _facts(entry: JournalEntry) -> _Facts:
    body = _object(entry.request_body) if entry.endpoint == Endpoint.SUBMIT else {}
    given = body.get("input")
    asked = {**body, **(given if isinstance(given, dict) else {})}
    urls = asked.get("image_urls")
    return {
        **{name: getattr(entry, name) for name in _OF_ENTRY},
        **{name: _meant(name, _text(asked.get(name))) for name in _PARAMETERS},
        "call": entry.endpoint,
        "callback_url": _text(asked.get("callback_url")),
        "defaults": contract().defaults if asked else {},
        "image_url": _text(urls[0]) if isinstance(urls, list) and urls else None,
        "message": _text(_object(entry.response_body).get("message")),
    }


def _difference(facts: _Facts, name: str, wanted: Any, hides: Mask) -> str | None:
    """Return what differs. An entry shows no secrets, so a wanted one is compared by its mask, too."""
    found, note = facts[name], ""
    if name in _PARAMETERS and found is None:
        found = facts["defaults"].get(name)
        note = " (the default)" if found is not None else ""
    hidden = _hidden(name, wanted, hides)
    if found is not None and (_is_same(name, found, wanted) or _is_same(name, found, hidden)):
        return None
    if name == "call":
        return f"it is a {noun(found, 1) if found else 'call to no endpoint'}, wants {wanted}"
    return _differs(name, found, hidden, note)


def _is_same(name: str, found: Any, wanted: Any) -> bool:
    if name in PATTERNS:
        return fits(wanted, found)
    if name in _PARAMETERS:
        return bool(found == _meant(name, wanted))
    return bool(found == wanted)


def _hidden(name: str, wanted: Any, hides: Mask) -> Any:
    """Return a wanted value as it may be shown."""
    if name == "key":
        return wanted if HIDDEN in wanted else mask(wanted)
    return hides.text(wanted) if isinstance(wanted, str) else wanted


def _header(entry: JournalEntry, name: str, wanted: str, hides: Mask) -> str | None:
    # The first of several; the journal has their names in lower case.
    headers = dict(reversed(entry.request_headers))
    found = headers.get(name.lower())
    if found is not None and fits(wanted, found):
        return None
    hidden = _hidden_header(name, wanted, hides)
    shows_key = _is_authorization(name)
    if found == HIDDEN or (found and shows_key and not found.startswith(_BEARER)):
        return f"header {name} is kept secret, only * can be asked of it"
    # The hidden end of a pattern is not the end of a key.
    alike = hidden == found and "*" not in wanted if shows_key else fits(hidden, found or "")
    return None if alike and found else _differs(f"header {name}", found, hidden)


def _is_authorization(name: str) -> bool:
    return name.lower().encode() in AUTHORIZATION


def _hidden_header(name: str, wanted: str, hides: Mask) -> str:
    """Return a wanted header as it may be shown, with the key masked as in the journal."""
    scheme, _, key = wanted.strip().partition(" ")
    is_key = _is_authorization(name) and scheme.lower() == "bearer" and key.strip()
    if not is_key or HIDDEN in wanted or "*" in wanted:
        return hides.text(wanted)
    return f"{_BEARER}{mask(key.strip())}"


def _differs(name: str, found: Any, wanted: Any, note: str = "") -> str:
    is_found = "is missing" if found is None else f"is {_short(found)}{note}"
    return f"{name} {is_found}, wants {_short(wanted)}"


def _short(value: Any) -> str:
    return shown(str(value))[1:-1]


def _listed(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))
