"""Which calls of the journal match, and in words what differs in the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import orjson

from apixo_emulator.domain.accounts import mask
from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.domain.text import fits, shown
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.secrets import AUTHORIZATION, HIDDEN, Mask, mask_of
from apixo_schemas import contract

_LEAST_KEY_END = 3
_BEARER = "Bearer "


@dataclass(frozen=True)
class Facts:
    """What a filter looks at in a call; None is what the call does not have."""

    entry: JournalEntry

    @cached_property
    def _asked(self) -> Mapping[str, Any]:
        body = _object(self.entry.request_body) if self.entry.endpoint == Endpoint.SUBMIT else {}
        given = body.get("input")
        return {**body, **(given if isinstance(given, dict) else {})}

    @property
    def message(self) -> str | None:
        """The message of the answer's envelope."""
        return _text(_object(self.entry.response_body).get("message"))

    @property
    def path(self) -> str:
        """The path that was called."""
        return self.entry.path

    @property
    def image_url(self) -> str | None:
        """The source picture that a submit names."""
        urls = self._asked.get("image_urls")
        return _text(urls[0]) if isinstance(urls, list) and urls else None

    @property
    def callback_url(self) -> str | None:
        """Where a submit asks to be called back."""
        return _text(self._asked.get("callback_url"))

    def parameter(self, name: str) -> str | None:
        """Return a parameter of a submit with aliases resolved, without the default."""
        return _meant(name, _text(self._asked.get(name)))

    def default(self, name: str) -> str | None:
        """Return the contract's default of a parameter that a submit leaves out."""
        if not self._asked or self._asked.get(name) is not None:
            return None
        return contract().defaults.get(name)

    def header(self, name: str) -> str | None:
        """Return the first value of a request header, as the journal shows it."""
        wanted = name.lower()
        return next((value for key, value in self.entry.request_headers if key == wanted), None)


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
    ``key`` is a key, its mask as the journal shows it, or its last three characters or more. Short
    keys with the same mask are not told apart. The same holds for the key of an ``Authorization``
    header. Secrets elsewhere, in URLs for example, are compared as the journal shows them. A
    parameter that a submit leaves out counts with its default.
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
        facts, hides = Facts(entry), self._mask()
        given = ((name, getattr(self, name)) for name in _NAMES)
        found = (
            _difference(facts, name, wanted, hides) for name, wanted in given if wanted is not None
        )
        headers = (_header(facts, name, wanted, hides) for name, wanted in self.headers.items())
        return (*filter(None, found), *filter(None, headers))

    def _mask(self) -> Mask:
        """Return the mask of the secrets that the filter asks for."""
        headers = [
            (name.encode(), value.encode())
            for name, value in self.headers.items()
            if HIDDEN not in value
        ]
        return mask_of(headers, [self.key] if self.key and _is_whole(self.key) else [])

    def words(self, number: int = 1) -> str:
        """Return in words which calls match, e.g. ``submit with resolution 8k``; ``number`` of them."""
        hides = self._mask()
        given = ((name, getattr(self, name)) for name in _NAMES if name != "call")
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


def noun(call: str | None, number: int) -> str:
    """Return what calls of an endpoint are called, None for any: ``submits``, ``status calls``, ``call``."""
    name = {None: "call", "submit": "submit"}.get(call, f"{call} call")
    return name if number == 1 else f"{name}s"


_Compare = Callable[[Facts, str, Any], str | None]


def _difference(facts: Facts, name: str, wanted: Any, hides: Mask) -> str | None:
    """Return what differs. An entry shows no secrets, so a wanted one is compared by its mask, too."""
    words = _COMPARED[name](facts, name, wanted)
    if words is None or name == "key":  # a key hides itself
        return words
    return _COMPARED[name](facts, name, _hidden(name, wanted, hides))


def _hidden(name: str, wanted: Any, hides: Mask) -> Any:
    """Return a wanted value as it may be shown."""
    if name == "key":
        return mask(wanted) if _is_whole(wanted) else wanted
    return hides.text(wanted) if isinstance(wanted, str) else wanted


def _is_whole(key: str) -> bool:
    """Return whether it is a key, and not its mask or its end, which may be shown."""
    return HIDDEN not in key and len(key) > _LEAST_KEY_END


def _same(facts: Facts, name: str, wanted: Any) -> str | None:
    found = getattr(facts.entry, name)
    return None if found == wanted else _differs(name, found, wanted)


def _call(facts: Facts, _name: str, wanted: str) -> str | None:
    found = facts.entry.endpoint
    is_found = noun(found, 1) if found else "call to no endpoint"
    return None if found == wanted else f"it is a {is_found}, wants {wanted}"


def _parameter(facts: Facts, name: str, wanted: str) -> str | None:
    given = facts.parameter(name)
    found = given if given is not None else facts.default(name)
    if found is not None and found == _meant(name, wanted):
        return None
    note = " (the default)" if given is None and found is not None else ""
    return _differs(name, found, wanted, note)


def _pattern(facts: Facts, name: str, wanted: str) -> str | None:
    found = getattr(facts, name)
    return None if found is not None and fits(wanted, found) else _differs(name, found, wanted)


def _key(facts: Facts, name: str, wanted: str) -> str | None:
    found = facts.entry.key
    whole = mask(wanted) if _is_whole(wanted) else wanted
    if found is not None and (found in (wanted, whole) or _ends_alike(found, wanted)):
        return None
    return _differs(name, found, whole)


def _ends_alike(masked: str, wanted: str) -> bool:
    end = wanted.rpartition(HIDDEN)[2]
    return len(end) >= _LEAST_KEY_END and masked.endswith(f"{HIDDEN}{end}")


def _header(facts: Facts, name: str, wanted: str, hides: Mask) -> str | None:
    found = facts.header(name)
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


_NAMES = tuple(entry.name for entry in fields(CallFilter) if entry.name != "headers")
_COMPARED: Mapping[str, _Compare] = {
    **dict.fromkeys(_NAMES, _same),
    "call": _call,
    **dict.fromkeys(("resolution", "output_format", "request_type"), _parameter),
    **dict.fromkeys(("image_url", "callback_url", "message", "path"), _pattern),
    "key": _key,
}
