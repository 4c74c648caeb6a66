"""The JSON files of the contract, read once and never from the network."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from referencing import Registry

_FOLDER = files("apixo_schemas") / "v1"


@cache
def document_names() -> tuple[str, ...]:
    """Give the names of all documents, sorted, e.g. ``submit-request.json``."""
    return tuple(sorted(entry.name for entry in _FOLDER.iterdir() if entry.name.endswith(".json")))


def document_text(name: str) -> str:
    """Give one document as it is stored.

    Raises:
        KeyError: No document has this name.
    """
    if name not in document_names():
        raise KeyError(f"no document {name!r}; there are {', '.join(document_names())}")
    return (_FOLDER / name).read_text("utf-8")


@cache
def document(name: str) -> Any:
    """Give one document parsed. It is shared: treat it as read-only.

    Raises:
        KeyError: No document has this name.
    """
    return json.loads(document_text(name))


@cache
def registry() -> Registry[Any]:
    """Give a registry that resolves every ``$ref`` between the schemas, offline.

    Needs the package ``referencing``, which the extras ``emulator`` and ``contract`` bring.
    """
    from referencing import Registry, Resource

    schemas = (document(name) for name in document_names())
    resources = (Resource.from_contents(schema) for schema in schemas if "$schema" in schema)
    return Registry().with_resources((str(found.id()), found) for found in resources)
