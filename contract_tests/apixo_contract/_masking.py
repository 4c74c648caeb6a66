"""Keeping the API key out of everything that is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from html.entities import codepoint2name
from itertools import groupby

# What stands for the key; in a curl line the shell puts the real one in its place.
PLACEHOLDER = "$APIXO_API_KEY"
# A shorter text is no secret, and replacing it would garble answers: think of a key `data`.
SHORTEST_KEY = 8
_PERCENT = 0x25


class Mask:
    """Replaces the key, in each way of writing it, by the name of its variable."""

    def __init__(self, key: str) -> None:
        self._written = spellings(key) if len(key) >= SHORTEST_KEY else None
        self._header = f"Bearer {key}"

    def text(self, value: str) -> str:
        """Give a text without the key."""
        value = value.replace(self._header, f"Bearer {PLACEHOLDER}")
        return self._written.sub(lambda _found: PLACEHOLDER, value) if self._written else value

    def headers(self, values: Mapping[str, str]) -> dict[str, str]:
        """Give headers without the key, names in lower case."""
        return {name.lower(): self.text(value) for name, value in values.items()}


@cache
def spellings(key: str) -> re.Pattern[str]:
    r"""Give a pattern of a key's spellings: each character as it is, or escaped.

    Escapes are those of JSON (``\/``, ``\u002F``, and both again in a text within a text), of URLs
    and of HTML. Quantifiers are possessive: however many backslashes a text has, each is read once.
    """
    parts = [
        _backslashes(len(list(run))) if letter == "\\" else "".join(map(_spelt, run))
        for letter, run in groupby(key)
    ]
    # Several in a row are one match: behind a key that ends in a backslash none would begin.
    return re.compile(rf"(?<!\\)(?:{''.join(parts)})++")


def _spelt(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    in_json = "".join(rf"\\++u{_hex(units[at : at + 4])}" for at in range(0, len(units), 4))
    # As it is comes last: `%25` and `&amp;` begin with what they stand for.
    return rf"(?:{in_json}|{_percent(letter)}|{_entity(letter)}|\\*+{re.escape(letter)})"


def _backslashes(count: int) -> str:
    """Spell backslashes that follow each other: escaped, they are only more of them."""
    one = rf"\\++u{_hex('005c')}|{_percent(chr(92))}|{_entity(chr(92))}"
    return rf"(?:(?:{one}){{{count}}}|\\{{{count},}}+)"


def _percent(letter: str) -> str:
    """Spell a letter in a URL; one that was escaped twice has `%25` for its percent sign."""
    escaped = letter.encode("utf-8", "surrogatepass")
    return "".join(map(_percent_byte, escaped))


def _percent_byte(byte: int) -> str:
    # Of the percent sign itself no digits would be left to match after the escapes.
    return "%(?:25)++" if byte == _PERCENT else f"%(?:25)*+{_hex(f'{byte:02x}')}"


def _entity(letter: str) -> str:
    number = ord(letter)
    names = [codepoint2name[number]] if number in codepoint2name else []
    forms = [*names, f"#0*+{number}", f"#[xX]0*+{_hex(f'{number:x}')}"]
    return f"&(?:{'|'.join(forms)});"


def _hex(digits: str) -> str:
    """Spell hexadecimal digits in either case."""
    return "".join(f"[{d}{d.upper()}]" if d.isalpha() else d for d in digits)
