"""Secrets: the API key is replaced by a shell variable, other secrets are masked or found.

A curl line with the placeholder repeats the call, because the shell inserts the real key. The
emulator masks its journal differently (any key of any caller, in bytes), so the two share no code.
"""

from __future__ import annotations

import base64
import html
import re
import shlex
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from itertools import chain, zip_longest

PLACEHOLDER = "$APIXO_API_KEY"
# How a shell makes the altered keys of a run from the real one.
LONGER = "${APIXO_API_KEY}x"
SHORTER = "${APIXO_API_KEY%?}"
OTHER_CASE = '$(printf %s "$APIXO_API_KEY" | tr a-zA-Z A-Za-z)'
_PLACEHOLDERS = (OTHER_CASE, LONGER, SHORTER, PLACEHOLDER)
_PLACEHOLDER = re.compile("|".join(map(re.escape, _PLACEHOLDERS)))
# A shorter text is not a secret, and replacing it would garble answers, e.g. for the key `data`.
SHORTEST_KEY = 8
# What a shell interprets between double quotes.
_SHELL_CHARACTERS = frozenset('"$`\\!')

# Headers that carry a secret by their purpose.
_HEADERS = frozenset(
    [
        *("authorization", "cookie", "proxy-authorization", "set-cookie"),
        *("x-amz-security-token", "x-api-key"),
    ]
)
# A signed link needs no key: its signature is the secret.
_SIGNED = re.compile(
    r"(?i)((?:[?&]|\\+u0026)(?:x-(?:amz|goog)-[a-z-]+|signature|sig|access_token|token|key-pair-id|policy"
    r"|awsaccesskeyid|ossaccesskeyid)=)([^&#\"'\\\s]+)"
)
# The placeholders, and the invented keys of a run.
_HARMLESS = re.compile(
    rf"{_PLACEHOLDER.pattern}|sk-contract-[0-9a-f]{{8}}-no-such-key|masked-[0-9a-f]{{8}}"
)
_KEY_LIKE = {
    "an API key": re.compile(r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"),
    "a bearer token": re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{8,}=*"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a JSON Web Token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
}


def altered_keys(key: str) -> dict[str, str]:
    """Return the keys that differ from a key by one letter or by case, by their placeholder."""
    made = {LONGER: f"{key}x", SHORTER: key[:-1], OTHER_CASE: key.swapcase()}
    return {name: other for name, other in made.items() if other and other != key}


class Mask:
    """Replaces a key, in every spelling, by the shell variable that holds it.

    Keys that differ from it by a letter or by case are replaced too: the key could be guessed from them.
    """

    def __init__(self, key: str) -> None:
        self._header = f"Bearer {key}"
        keys = {PLACEHOLDER: key, **altered_keys(key)} if len(key) >= SHORTEST_KEY else {}
        # The longest first: a key contains the one that lacks its last letter.
        self._keys = [
            (spellings(other), name)
            for name, other in sorted(keys.items(), key=lambda item: -len(item[1]))
        ]

    def text(self, value: str) -> str:
        """Return a text without the key."""
        value = value.replace(self._header, f"Bearer {PLACEHOLDER}") if not self._keys else value
        for pattern, name in self._keys:
            value = pattern.sub(lambda _found, name=name: name, value)  # type: ignore[misc]  # mypy infers no type for a lambda with a default
        return value

    def headers(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return headers without the key, names in lower case."""
        return {name.lower(): self.text(value) for name, value in values.items()}


@cache
def spellings(key: str) -> re.Pattern[str]:
    r"""Return a pattern of a key's spellings: each character as it is, or escaped.

    Escapes are those of JSON (``\/``, ``\u002F``, and both again in a text within a text), of URLs
    and of HTML. Quantifiers of backslashes are possessive, so each of a text is read once.
    """
    # Backslashes in a row are one piece: escaped, they are only more of them.
    pieces = re.findall(r"\\+|[^\\]", key)
    # Several in a row are one match: after a key that ends in a backslash no match could begin.
    return re.compile(rf"(?<!\\)(?:{''.join(map(_spelt, pieces))})++")


def _spelt(piece: str) -> str:
    letter, code = piece[0], ord(piece[0])
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    in_json = "".join(rf"\\++u{units[at : at + 4]}" for at in range(0, len(units), 4))
    # Escaped twice, a percent sign is `%25`.
    in_url = "".join(f"%(?:25)*{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))
    in_html = f"&#0*{code};|&#x0*{code:x};"
    if letter == "\\":
        return rf"(?:(?i:{in_json}|{in_url}|{in_html})|\\++)++"
    return rf"(?:(?i:{in_json}|{in_url}|{in_html})|{_named(letter)}\\*+{re.escape(letter)})"


def _named(letter: str) -> str:
    name = html.escape(letter)
    return "" if name == letter else f"{name}|"


def scrub(text: str) -> str:
    """Return a text with the signatures of its links masked; equal signatures stay equal."""
    return _SIGNED.sub(lambda found: found[1] + _masked(found[2]), text)


def scrub_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their secrets masked."""
    return {
        name: _masked(value)
        if name.lower() in _HEADERS and not _is_harmless(value)
        else scrub(value)
        for name, value in headers.items()
    }


def _is_harmless(value: str) -> bool:
    return _HARMLESS.search(value) is not None or value == "Bearer"


def _masked(value: str) -> str:
    if _HARMLESS.fullmatch(value):
        return value
    return f"masked-{sha256(value.encode()).hexdigest()[:8]}"


def find_secret(text: str, keys: Iterable[str] = ()) -> str | None:
    """Return what a text seems to reveal, in words that do not repeat it; None for nothing.

    Args:
        text: What is to be kept.
        keys: The keys in use, looked for as they are and in the usual encodings.
    """
    for key in keys:
        if len(key) < SHORTEST_KEY:
            continue
        if spellings(key).search(text) or any(form in text for form in _encoded(key)):
            return "the API key in use"
    rest = _HARMLESS.sub("", text)
    for kind, pattern in _KEY_LIKE.items():
        if found := pattern.search(rest):
            return f"what looks like {kind} ({found[0][:4]}…, {len(found[0])} characters)"
    return None


def _encoded(key: str) -> set[str]:
    encoded = base64.b64encode(key.encode()).decode().rstrip("=")
    return {encoded, base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")}


def curl_line(method: str, url: str, headers: Mapping[str, str], body: str | None) -> str:
    """Return a shell line that repeats a call, with the key from ``$APIXO_API_KEY``."""
    parts = ["curl", "-sS", "-X", method, _quoted(url)]
    for name, value in headers.items():
        parts += ["-H", _quoted(f"{name}: {value}")]
    if body is not None:
        parts += ["--data-raw", _quoted(body)]
    return " ".join(parts)


def _quoted(text: str) -> str:
    """Quote a text for a shell; the placeholders stay expressions that the shell evaluates."""
    placeholders = _PLACEHOLDER.findall(text)
    rest = _PLACEHOLDER.split(text)
    if placeholders and not _SHELL_CHARACTERS.intersection("".join(rest)):
        return f'"{text}"'
    quoted = [shlex.quote(piece) if piece else "" for piece in rest]
    pairs = zip_longest(quoted, (f'"{name}"' for name in placeholders), fillvalue="")
    return "".join(chain.from_iterable(pairs)) or "''"
