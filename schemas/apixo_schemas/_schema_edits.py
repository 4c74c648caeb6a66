"""Changes of a rule's JSON Schema that a profile asks for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from itertools import product
from typing import Any

Node = dict[str, Any]
_BLANK = {"type": "string", "pattern": r"^\s*$"}


def _walked(node: Any, change: Callable[[Node, str], Node], owner: str = "") -> Any:
    """Rebuild a schema from its leaves up; ``change`` gets each object and whose value it judges."""
    if isinstance(node, list):
        return [_walked(part, change, owner) for part in node]
    if not isinstance(node, Mapping):
        return node
    built = {
        key: {name: _walked(sub, change, name) for name, sub in part.items()}
        if key == "properties"
        else _walked(part, change, owner)
        for key, part in node.items()
    }
    return change(built, owner)


def without_null(schema: Mapping[str, Any], names: Collection[str]) -> Node:
    """Take null for a value like any other, for the parameters of these names."""

    def change(node: Node, owner: str) -> Node:
        if owner not in names:
            return node
        if node.get("not") == {"type": "null"}:
            node.pop("not")
        if isinstance(node.get("type"), list):
            node["type"] = [kind for kind in node["type"] if kind != "null"]
        if "enum" in node:
            node["enum"] = [value for value in node["enum"] if value is not None]
        return node

    found: Node = _walked(schema, change)
    return found


def trimmed(schema: Mapping[str, Any]) -> Node:
    """Take texts as if the space around them were not there."""

    def change(node: Node, _owner: str) -> Node:
        texts = [text for text in _choices(node) if isinstance(text, str)]
        if texts:
            spaced = "|".join(_escaped(text) for text in texts if text)
            padded = {"type": "string", "pattern": rf"^\s*(?:{spaced})\s*$"} if spaced else _BLANK
            return {"anyOf": [node, padded]}
        if "minLength" in node:
            return {**node, "pattern": r"\S"}
        return node

    found: Node = _walked(schema, change)
    return found


def _escaped(text: str) -> str:
    # JavaScript's strict patterns take no escaped hyphen outside brackets.
    return re.escape(text).replace(r"\-", "-")


def _choices(node: Node) -> list[Any]:
    return [node["const"]] if "const" in node else node.get("enum", [])


def any_case(schema: Mapping[str, Any], name: str) -> Node:
    """Take the choices of a parameter in any letter case."""

    def change(node: Node, owner: str) -> Node:
        if owner == name and "enum" in node:
            node["enum"] = [form for value in node["enum"] for form in _forms(value)]
        return node

    found: Node = _walked(schema, change)
    return found


def _forms(value: Any) -> list[Any]:
    return list(cases(value)) if isinstance(value, str) else [value]


def cases(text: str) -> list[str]:
    """Give a short text in every mixture of letter cases, the given one first."""
    letters = [dict.fromkeys((letter, letter.lower(), letter.upper())) for letter in text]
    return ["".join(chosen) for chosen in product(*letters)]
