"""The JSON Schemas that the emulator serves: the API's, and its own files'."""

from __future__ import annotations

from functools import cache

import orjson

from apixo_emulator.journal.expectation import expectation_schema
from apixo_emulator.scenarios.rule_schema import scenario_file_schema
from apixo_emulator.service.operator import NotFoundError
from apixo_schemas import document_names, document_text

_OWN = {"scenarios.json": scenario_file_schema, "expectation.json": expectation_schema}


@cache
def published_names() -> tuple[str, ...]:
    """Give the names of all published schemas."""
    return tuple(sorted((*document_names(), *_OWN)))


@cache
def published(name: str) -> str:
    """Give a schema's text.

    Raises:
        NotFoundError: There is none of this name.
    """
    if name in _OWN:
        return orjson.dumps(_OWN[name]()).decode()
    if name not in document_names():
        raise NotFoundError(f"no schema {name!r}; there are: {', '.join(published_names())}")
    return document_text(name)
