"""What has to be sent to make a call of the journal again; keys are put in by who sends it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Self

from apixo_emulator.domain.routes import Endpoint
from apixo_emulator.journal.entry import JournalEntry
from apixo_emulator.journal.masking import HIDDEN
from apixo_schemas import contract

# A client adds these by itself; the key's header is written anew.
_BY_ITSELF = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# What no terminal and no source file takes as it is.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
_CUT = "The journal keeps both ends of a long body only: put the rest in."
_MASKED = f"Secrets stand here as {HIDDEN}: put them in."
_PARAMETERS = frozenset({"mode", "image_urls", "resolution", "output_format"})


@dataclass(frozen=True, slots=True)
class Submit:
    """A submit as a client's method takes it; what was left out is None."""

    image_url: str
    resolution: str | None
    output_format: str | None
    callback_url: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """A call to be sent again. ``note`` says what the sender has to put in by hand, if anything."""

    method: str
    url: str
    with_key: bool
    headers: tuple[tuple[str, str], ...]
    body: bytes
    endpoint: str
    task_id: str | None
    note: str | None

    @classmethod
    def of(cls, entry: JournalEntry, base_url: str | None = None) -> Self:
        """Make it of an entry; ``base_url`` is another server's, with or without the API's prefix."""
        url = entry.address
        if base_url is not None:
            origin = base_url.rstrip("/").removesuffix(contract().prefix)
            url = origin + url.removeprefix(entry.base_url)
        is_masked = HIDDEN in entry.query or HIDDEN.encode() in entry.request_body
        return cls(
            method=entry.method,
            url=url,
            with_key=any(name.lower() == "authorization" for name, _ in entry.request_headers),
            headers=tuple(pair for pair in entry.request_headers if _is_sent(*pair)),
            body=entry.request_body,
            endpoint=entry.endpoint,
            task_id=entry.task_id,
            note=_CUT if entry.request_cut else _MASKED if is_masked else None,
        )

    @property
    def text(self) -> str | None:
        """The body as a text that can be written down; None where it is none."""
        try:
            text = self.body.decode()
        except UnicodeDecodeError:
            return None
        return None if _CONTROL.search(text) else text

    @property
    def document(self) -> dict[str, Any] | None:
        """The body as a JSON object that Python's literals can write; None where it is none."""
        try:
            found = json.loads(self.body, parse_constant=_no_number)
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate cannot be sent
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @property
    def submit(self) -> Submit | None:
        """The submit that it is, if a client's method can say all of it."""
        document = self.document
        if self.endpoint != Endpoint.SUBMIT or document is None or not self.with_key:
            return None
        given = document.get("input")
        is_plain = document.keys() <= {"request_type", "callback_url", "input"}
        if not is_plain or not isinstance(given, dict) or not given.keys() <= _PARAMETERS:
            return None
        return _submit(document, given)


def _no_number(name: str) -> Any:
    raise ValueError(name)


def _is_sent(name: str, value: str) -> bool:
    """Tell whether a header makes the call what it is, and can be written down."""
    known = name.lower() not in _BY_ITSELF and HIDDEN not in value
    return known and bool(_HEADER_NAME.fullmatch(name)) and value.isascii() and value.isprintable()


def _submit(document: dict[str, Any], given: dict[str, Any]) -> Submit | None:
    urls, callback_url = given.get("image_urls"), document.get("callback_url")
    options = [given.get("resolution"), given.get("output_format"), callback_url]
    usual_type = "async" if callback_url is None else "callback"
    fits = (
        isinstance(urls, list)
        and len(urls) == 1
        and all(isinstance(option, str | None) for option in options)
        and document.get("request_type", "async") == usual_type
        and given.get("mode", contract().defaults["mode"]) == contract().defaults["mode"]
        # The client takes a text without a scheme for a forgotten file.
        and isinstance(urls[0], str)
        and ":" in urls[0]
    )
    return Submit(urls[0], *options) if fits and isinstance(urls, list) else None
