"""Who calls: the bearer key, and the account that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

# The world that all accounts share unless each has its own.
ONE_WORLD = "default"
_SHOWN = 4
_LEAST_TO_SHOW = 12


@dataclass(frozen=True, slots=True)
class Account:
    """An API key's owner. The key itself is not kept: ``id`` is its digest, ``label`` its mask."""

    id: str
    label: str
    world: str = ONE_WORLD


def mask(key: str) -> str:
    """Give a key as it may be shown: ``sk-…abcd``, or only ``…`` where the key is short."""
    if len(key) < _LEAST_TO_SHOW:
        return "…"
    return f"{key[: key.find('-') + 1][:_SHOWN]}…{key[-_SHOWN:]}"


@lru_cache(maxsize=4096)
def account_of(key: str, *, own_world: bool = False) -> Account:
    """Give the account of an API key, in the one world or in a world of its own.

    The ids differ, so that a folder used both ways keeps them apart.
    """
    digest = blake2b(key.encode(), digest_size=16, person=b"world" if own_world else b"")
    return Account(digest.hexdigest(), mask(key), digest.hexdigest() if own_world else ONE_WORLD)


def bearer_key(authorization: bytes | None) -> str | None:
    """Read the key of an ``Authorization: Bearer KEY`` header, None where there is none.

    The scheme is case-insensitive (RFC 9110, 11.1).
    """
    if authorization is None:
        return None
    scheme, _, key = authorization.decode("latin-1").strip().partition(" ")
    key = key.strip()
    return key if key and scheme.lower() == "bearer" else None
