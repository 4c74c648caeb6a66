"""The contract, read on first use, so that importing the client stays light."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from apixo_schemas import Contract


class Endpoint(NamedTuple):
    """One call of the API; ``path`` is below the base URL, ``query`` the name of its parameter."""

    method: str
    path: str
    query: str | None


def terms() -> Contract:
    """Give the contract: defaults, errors, failures, polling."""
    from apixo_schemas import contract

    return contract()


@cache
def endpoint(name: str) -> Endpoint:
    """Give the endpoint ``submit``, ``status`` or ``balance``."""
    from apixo_schemas import document

    entry = document("model.json")["api"][name]
    path = entry["path"].replace("{model}", terms().model)
    return Endpoint(entry["method"], path, entry.get("query"))


@cache
def media_types() -> dict[str, str]:
    """Give the media type of each file suffix (without the dot) that a source image may have."""
    known = {name: form.media_type for name, form in terms().formats.items()}
    return known | {alias: known[name] for alias, name in terms().format_aliases.items()}
