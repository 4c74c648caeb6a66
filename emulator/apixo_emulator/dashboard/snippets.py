"""A call of the journal, ready to be copied: as curl, as Python, as a test."""

from __future__ import annotations

import json
from pprint import pformat
from shlex import quote
from textwrap import indent
from typing import Any

from apixo_emulator.core.journal import JournalEntry, as_text
from apixo_emulator.core.masking import HIDDEN

# What the test fixture intercepts.
_LIVE = "https://api.apixo.ai"
_KEY = "f\"Bearer {os.environ['APIXO_API_KEY']}\""
# A client adds these by itself; the key's header is written anew.
_BY_ITSELF = frozenset(
    [
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "host",
        "user-agent",
    ]
)
_CUT = "# The journal keeps both ends of a long body only: put the rest in."
_WIDTH = 88


def snippets(entry: JournalEntry) -> list[tuple[str, str]]:
    """Give a call by the names of what it is written in; the key is read from the environment."""
    return [("curl", _curl(entry)), ("Python", _python(entry)), ("pytest", _pytest(entry))]


def _headers(entry: JournalEntry) -> list[tuple[str, str]]:
    """Give the headers that make the call what it is, without those that are masked."""
    return [
        (name, value)
        for name, value in entry.request_headers
        if name.lower() not in _BY_ITSELF and HIDDEN not in value
    ]


def _is_cut(entry: JournalEntry) -> bool:
    return entry.request_bytes > len(entry.request_body)


def _curl(entry: JournalEntry) -> str:
    lines = [f"curl -X {entry.method} {quote(entry.url)}"]
    if entry.key:
        lines.append('-H "Authorization: Bearer $APIXO_API_KEY"')
    lines += [f"-H {quote(f'{name}: {value}')}" for name, value in _headers(entry)]
    if entry.request_body:
        lines.append(f"--data-raw {quote(as_text(entry.request_body)[0])}")
    call = " \\\n  ".join(lines)
    return f"{_CUT}\n{call}" if _is_cut(entry) else call


def _call(entry: JournalEntry, url: str, authorization: str) -> str:
    """Write the call with httpx."""
    headers = dict(_headers(entry))
    body = _body(entry, headers)
    written = [f"{name!r}: {value!r}" for name, value in headers.items()]
    if entry.key:
        written.insert(0, f"'Authorization': {authorization}")
    lines = [repr(entry.method), repr(url)]
    if written:
        lines.append(f"headers={{{', '.join(written)}}}")
    if body:
        lines.append(body)
    call = "response = httpx.request(\n" + indent(",\n".join(lines), "    ") + ",\n)\n"
    return f"{_CUT}\n{call}" if _is_cut(entry) else call


def _body(entry: JournalEntry, headers: dict[str, str]) -> str:
    """Write the body: an object as one, then its media type goes without saying."""
    text = as_text(entry.request_body)[0]
    parsed = _parsed(text)
    if not isinstance(parsed, dict):
        return f"content={text!r}" if text else ""
    for name in [name for name in headers if name.lower() == "content-type"]:
        del headers[name]
    written = pformat(parsed, width=_WIDTH, sort_dicts=False)
    return f"json={written}".replace("\n", "\n     ")


def _python(entry: JournalEntry) -> str:
    call = _call(entry, entry.url, _KEY)
    return f"import os\n\nimport httpx\n\n{call}print(response.status_code, response.text)\n"


def _pytest(entry: JournalEntry) -> str:
    """Write a test that expects what was answered, in process."""
    call = _call(entry, _LIVE + entry.url.removeprefix(entry.base_url), "'Bearer sk-test'")
    # What an image URL asks for it asks for here, too.
    marker = f"@pytest.mark.apixo(scenario={entry.scenario!r})\n" if entry.rule else ""
    imports = "import httpx\nimport pytest\n" if marker else "import httpx\n"
    checks = f"assert response.status_code == {entry.status}\n"
    answer = _parsed(as_text(entry.response_body)[0])
    if isinstance(answer, dict) and isinstance(answer.get("message"), str):
        checks += f"assert response.json()['message'] == {answer['message']!r}\n"
    return f"{imports}\n\n{marker}def test_call(apixo):\n{indent(call + checks, '    ')}"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
