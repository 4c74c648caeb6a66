"""Which endpoint a request is for. The paths come from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

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


_READING = ("GET", "HEAD")


@cache
def _endpoints() -> Mapping[str, tuple[Endpoint, tuple[str, ...]]]:
    """Return the endpoints and their methods by path; one that ends with / stands for what is below."""
    model = document("model.json")
    api, prefix = model["api"], model["api"]["prefix"]
    table: dict[str, tuple[Endpoint, tuple[str, ...]]] = {
        "/docs/models/schemas/index.json": (Endpoint.MODEL_INDEX, _READING),
        f"/docs/{model['schema_path']}": (Endpoint.MODEL_SCHEMA, _READING),
        "/files/": (Endpoint.FILE, _READING),
    }
    for endpoint in (Endpoint.SUBMIT, Endpoint.STATUS, Endpoint.BALANCE):
        path = prefix + api[endpoint]["path"].removesuffix("{model}")
        table[path] = endpoint, (api[endpoint]["method"],)
    return table


@cache
def ordinary_calls() -> Mapping[bytes, tuple[bytes, str, str]]:
    """Return the API's own paths as they stand on the wire: the method there, and both as text."""
    model = document("model.json")
    calls = {}
    for name in (Endpoint.SUBMIT, Endpoint.STATUS, Endpoint.BALANCE):
        entry = model["api"][name]
        path = model["api"]["prefix"] + entry["path"].format(model=model["id"])
        calls[path.encode()] = entry["method"].encode(), entry["method"], path
    return calls


@lru_cache(maxsize=64)
def _route(path: str) -> tuple[Route, tuple[str, ...]] | None:
    """Return the endpoint of a path, and the methods that it takes."""
    cut = path.rfind("/") + 1
    if cut == len(path):
        return None
    found, rest = _endpoints().get(path), ""
    if found is None:
        found, rest = _endpoints().get(path[:cut]), path[cut:]
    return None if found is None else (Route(found[0], rest), found[1])


def match(method: str, path: str) -> Route | HttpResponse:
    """Find the endpoint, or the answer to a call that has none: 404, or 405 with ``Allow``."""
    found = _route(path)
    if found is None:
        return refusal("path_not_found")
    route, methods = found
    if method not in methods:
        return refusal("method_not_allowed", (b"allow", ", ".join(methods).encode()))
    return route
