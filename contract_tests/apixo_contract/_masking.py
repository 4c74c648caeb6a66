"""Keeping the API key out of everything that is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import quote

# What stands for the key; in a curl line the shell puts the real one in its place.
PLACEHOLDER = "$APIXO_API_KEY"
# A shorter text is no secret, and replacing it would garble answers: think of a key `data`.
_SHORTEST = 8


class Mask:
    """Replaces the key, in each way of writing it, by the name of its variable."""

    def __init__(self, key: str) -> None:
        written = {key, quote(key, safe=""), json.dumps(key)[1:-1]}
        self._written = sorted(written, key=len, reverse=True) if len(key) >= _SHORTEST else []
        self._header = f"Bearer {key}"

    def text(self, value: str) -> str:
        """Give a text without the key."""
        value = value.replace(self._header, f"Bearer {PLACEHOLDER}")
        for written in self._written:
            value = value.replace(written, PLACEHOLDER)
        return value

    def headers(self, values: Mapping[str, str]) -> dict[str, str]:
        """Give headers without the key, names in lower case."""
        return {name.lower(): self.text(value) for name, value in values.items()}
