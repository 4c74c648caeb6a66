"""Servers that all keep the contract, each using another freedom that the page leaves.

A kit that fails one of them raises a false alarm. Where a variant differs from what the project
assumes, the kit may say so (refuted), but must not fail it. Importing the modules fills the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from gauntlet.conduct import Conduct

Kind = TypeVar("Kind", bound=type[Conduct])
VARIANTS: dict[str, type[Conduct]] = {"plain": Conduct}


def variant(name: str) -> Callable[[Kind], Kind]:
    """Add a conduct to the variants."""

    def add(conduct: Kind) -> Kind:
        VARIANTS[name] = conduct
        return conduct

    return add


def varied(name: str, kind: type[Conduct] = Conduct, **members: Any) -> None:
    """Add a variant whose members replace those of a conduct."""
    variant(name)(type(name, (kind,), members))


from gauntlet.variants import answers, requests  # noqa: E402 - they fill the table

__all__ = ["SOURCES", "VARIANTS"]
SOURCES = (answers, requests)
