"""Which endpoint a request is for. The paths come from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from apixo_emulator.domain.responses import refusal
from apixo_emulator.domain.wire import HttpResponse
from apixo_schemas import document


class Endpoint(StrEnum):
    """The endpoints of the API and what the vendor publishes beside it."""

    SUBMIT = "submit"
    STATUS = "status"
    BALANCE = "balance"
    FILE = "file"
    MODEL_INDEX = "model-index"
    MODEL_SCHEMA = "model-schema"


@dataclass(frozen=True, slots=True)
class Route:
    """A matched endpoint; ``rest`` is the last part of the path: a model, or a file's name."""

    endpoint: Endpoint
    rest: str = ""


_OWN = frozenset({Endpoint.SUBMIT, Endpoint.STATUS, Endpoint.BALANCE})
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class _Table:
    exact: dict[str, tuple[Endpoint, frozenset[str]]]
    by_folder: dict[str, tuple[Endpoint, frozenset[str]]]


@cache
def _table() -> _Table:
    model = document("model.json")
    api = model["api"]

    def folder(name: str) -> str:
        return str(api["prefix"] + api[name]["path"].removesuffix("{model}"))

    def methods(name: str) -> frozenset[str]:
        return frozenset({api[name]["method"]})

    return _Table(
        exact={
            api["prefix"] + api["balance"]["path"]: (Endpoint.BALANCE, methods("balance")),
            "/docs/models/schemas/index.json": (Endpoint.MODEL_INDEX, _READING),
            f"/docs/{model['schema_path']}": (Endpoint.MODEL_SCHEMA, _READING),
        },
        by_folder={
            folder("submit"): (Endpoint.SUBMIT, methods("submit")),
            folder("status"): (Endpoint.STATUS, methods("status")),
            "/files/": (Endpoint.FILE, _READING),
        },
    )


@cache
def ordinary_calls() -> Mapping[bytes, tuple[bytes, str, str]]:
    """Return the API's own paths as they stand on the wire: the method there, and both as text."""
    table = _table()
    calls = {path: methods for path, (end, methods) in table.exact.items() if end in _OWN}
    for folder, (end, methods) in table.by_folder.items():
        if end in _OWN:
            calls[folder + document("model.json")["id"]] = methods
    return {path.encode(): (method.encode(), method, path) for path, (method,) in calls.items()}


@cache
def _ordinary_routes() -> Mapping[tuple[str, str], Route]:
    """Return the routes of the API's own paths, found in one step."""
    table = _table()
    routes = {}
    for _, method, path in ordinary_calls().values():
        cut = path.rfind("/") + 1
        exact = table.exact.get(path)
        routes[method, path] = (
            Route(exact[0]) if exact else Route(table.by_folder[path[:cut]][0], path[cut:])
        )
    return routes


def match(method: str, path: str) -> Route | HttpResponse:
    """Find the endpoint, or the answer to a call that has none: 404, or 405 with ``Allow``."""
    known = _ordinary_routes().get((method, path))
    if known is not None:
        return known
    table = _table()
    rest = ""
    found = table.exact.get(path)
    if found is None:
        cut = path.rfind("/") + 1
        found, rest = table.by_folder.get(path[:cut]), path[cut:]
        if found is None or not rest:
            return refusal("path_not_found")
    endpoint, methods = found
    if method not in methods:
        allowed = ", ".join(sorted(methods)).encode()
        return refusal("method_not_allowed", (b"allow", allowed))
    return Route(endpoint, rest)
