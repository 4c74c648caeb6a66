"""Who calls: the bearer key, and the account that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from apixo_emulator.domain.limits import Bucket, Rate, take_token

# The world that all accounts share unless each has its own.
ONE_WORLD = "default"
_SHOWN = 4
_SHOWN_OF_SHORT = 3
_LEAST_TO_SHOW = 12


@dataclass(slots=True)
class AccountState:
    """What is kept of an account, as one transaction sees and changes it.

    Money is in millionths of a USD. ``bucket`` is None until a rate limit has counted a call.
    """

    granted_micros: int
    spent_micros: int = 0
    accepted: int = 0
    callbacks: int = 0
    bucket: Bucket | None = None
    changed: bool = False

    @property
    def balance_micros(self) -> int:
        """What is left to spend."""
        return self.granted_micros - self.spent_micros

    def charge(self, price_micros: int) -> bool:
        """Charge one accepted task; False, with nothing changed, if the balance does not cover it."""
        if self.balance_micros < price_micros:
            return False
        self.spent_micros += price_micros
        self.accepted += 1
        self.changed = True
        return True

    def grant(self, amount_micros: int) -> None:
        """Add to the balance."""
        self.granted_micros += amount_micros
        self.changed = True

    def refund(self, amount_micros: int) -> None:
        """Give back what failed tasks have cost."""
        self.spent_micros -= amount_micros
        self.changed = True

    def take_token(self, rate: Rate, now_ms: int) -> int | None:
        """Take one call out of the rate limit; return the ms to wait instead where none is left."""
        self.bucket, wait_ms = take_token(self.bucket, rate, now_ms)
        self.changed = True
        return wait_ms


@dataclass(frozen=True, slots=True)
class Account:
    """An API key's owner. The key itself is not kept: ``id`` is its digest, ``label`` its mask."""

    id: str
    label: str
    world: str = ONE_WORLD


def mask(key: str) -> str:
    """Return a key as it may be shown: ``sk-…abcd``; of a short one, ``…key``, at most its half."""
    if len(key) < _LEAST_TO_SHOW:
        return f"…{key[-min(_SHOWN_OF_SHORT, len(key) // 2) :]}" if len(key) > _SHOWN else "…"
    return f"{key[: key.find('-') + 1][:_SHOWN]}…{key[-_SHOWN:]}"


def account_id(key: str, *, own_world: bool = False) -> str:
    """Return the id of a key's account; in a world of its own it is another one.

    The ids differ, so that a folder used both ways keeps them apart.
    """
    person = b"world" if own_world else b""
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16, person=person).hexdigest()


@lru_cache(maxsize=4096)
def account_of(key: str, *, own_world: bool = False) -> Account:
    """Return the account of an API key, in the one world or in a world of its own."""
    found = account_id(key, own_world=own_world)
    return Account(found, mask(key), found if own_world else ONE_WORLD)


def bearer_key(authorization: bytes | None) -> str | None:
    """Read the key of an ``Authorization: Bearer KEY`` header, None where there is none.

    The scheme is case-insensitive (RFC 9110, 11.1).
    """
    if authorization is None:
        return None
    scheme, _, key = authorization.decode("latin-1").strip().partition(" ")
    key = key.strip()
    return key if key and scheme.lower() == "bearer" else None
