"""Accounts: money, keys, rate limits, and what a configuration file says of a key."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache
from hashlib import blake2b
from typing import Any

from jsonschema_rs import Validator, validator_for

from apixo_emulator.domain.problems import DocumentError, Problem, violations
from apixo_emulator.domain.text import shown
from apixo_schemas import MICROS_PER_USD, contract

# Beyond this a store's 64-bit integer could overflow.
_MOST_USD = 1_000_000_000


def micros(usd: str) -> int:
    """Read an amount in USD, e.g. ``"74.87"``, as millionths.

    Raises:
        ValueError: It is no amount between 0 and a billion with at most six decimals.
    """
    expected = f"expected an amount in USD such as 100 or 0.05, found {shown(usd)}"
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        raise ValueError(expected) from None
    if amount.is_finite() and 0 <= amount <= _MOST_USD:
        scaled = amount * MICROS_PER_USD
        if scaled == int(scaled):
            return int(scaled)
    raise ValueError(f"{expected}: at least 0, at most {_MOST_USD:,}, six decimals")


def usd(amount_micros: int) -> str:
    """Write millionths as USD with at least four decimals, as the balance endpoint does (P3)."""
    whole, fraction = divmod(amount_micros, MICROS_PER_USD)
    digits = f"{fraction:06d}"
    return f"{whole}.{digits[:4]}{digits[4:].rstrip('0')}"


# The world that all accounts share unless each has its own.
ONE_WORLD = "default"
_SHOWN = 4
_SHOWN_OF_SHORT = 3
_LEAST_TO_SHOW = 12


@dataclass(slots=True)
class AccountState:
    """What the store keeps of an account, as one transaction reads and changes it.

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
        """Refund the price of failed tasks."""
        self.spent_micros -= amount_micros
        self.changed = True

    def take_token(self, rate: Rate, now_ms: int) -> int | None:
        """Count one call against the rate limit; return the ms to wait if there is none left."""
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
    """Return the id of a key's account.

    In a world of its own it is another one, so that a folder used both ways keeps them apart.
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


KEY = re.compile(r"[!-~]([ -~]*[!-~])?", re.ASCII)
_KEY_EXPECTED = "an API key: a text of printable ASCII without spaces around it"


# Rate limits: token buckets

_MOST_CALLS = 1_000_000
_LONGEST_S = 86_400
# Floats that refill in many small steps end slightly below the whole token that they should give.
_TOLERANCE = 1e-9
# A clock that is further back was set back; no caller waits for the time that it has lost.
_SET_BACK_MS = 60_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: ``calls`` tokens come in every ``per_s`` seconds, ``burst`` are kept at most."""

    calls: int
    per_s: float
    burst: int

    @property
    def per_ms(self) -> float:
        """The tokens that come in per millisecond."""
        return self.calls / (self.per_s * 1000)


@dataclass(frozen=True, slots=True)
class Bucket:
    """How many tokens an account had at an instant, in Unix ms."""

    tokens: float
    at_ms: int


def take_token(bucket: Bucket | None, rate: Rate, now_ms: int) -> tuple[Bucket, int | None]:
    """Remove one token at ``now_ms``; return the new bucket, and None.

    If there is no token, nothing is taken: return the bucket, and the ms until there is one. A
    bucket of None was never used and is full.
    """
    held = _refilled(bucket, rate, now_ms)
    if held.tokens >= 1 - _TOLERANCE:
        return Bucket(max(held.tokens - 1, 0.0), held.at_ms), None
    missing_ms = math.ceil((1 - held.tokens) / rate.per_ms - _TOLERANCE)
    return held, max(1, held.at_ms - now_ms + missing_ms)


def _refilled(bucket: Bucket | None, rate: Rate, now_ms: int) -> Bucket:
    if bucket is None or bucket.at_ms - now_ms > _SET_BACK_MS:
        return Bucket(float(rate.burst), now_ms)
    # Simultaneous calls come in any order. The time between two instants is counted once.
    at_ms = max(now_ms, bucket.at_ms)
    tokens = bucket.tokens + (at_ms - bucket.at_ms) * rate.per_ms
    return Bucket(min(float(rate.burst), tokens), at_ms)


# What a configuration file says of an account


@dataclass(frozen=True, slots=True)
class AccountTerms:
    """What the configuration says of an account; None is as for any other account.

    ``models`` are those that it may use, none if empty; ``concurrency`` is how many of its tasks
    may be unfinished at once; the balance is in millionths of a USD.
    """

    balance_micros: int | None = None
    models: frozenset[str] | None = None
    rate: Rate | None = None
    concurrency: int | None = None

    def shown(self) -> dict[str, Any]:
        """Return what is limited as a JSON value, as the config file writes it."""
        shown = {
            "balance": None if self.balance_micros is None else usd(self.balance_micros),
            "models": None if self.models is None else sorted(self.models),
            "rate": None if self.rate is None else asdict(self.rate),
            "concurrency": self.concurrency,
        }
        return {name: value for name, value in shown.items() if value is not None}


@cache
def account_schema() -> Mapping[str, Any]:
    """Return the JSON Schema of an account. It is shared: treat it as read-only."""
    number = {
        "title": f"an integer from 1 to {_MOST_CALLS}",
        "type": "integer",
        "minimum": 1,
        "maximum": _MOST_CALLS,
    }
    seconds = {
        "title": f"seconds above 0 and up to {_LONGEST_S}",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": _LONGEST_S,
    }
    rate = {
        "title": "a table with calls, and where they matter per_s (seconds) and burst",
        "type": "object",
        "required": ["calls"],
        "properties": {"calls": number, "per_s": seconds, "burst": number},
        "additionalProperties": False,
    }
    model = contract().model
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "a table with a key, and what is said of it",
        "type": "object",
        "required": ["key"],
        "properties": {
            "key": {"title": _KEY_EXPECTED, "type": "string", "pattern": f"^{KEY.pattern}$"},
            "balance": {"title": 'an amount in USD such as "5.00"', "type": ["string", "number"]},
            "models": {
                "title": "a list of the models that it may use, none in an empty one",
                "type": "array",
                "items": {"title": f"{model}, the model that is served", "enum": [model]},
            },
            "rate": rate,
            "concurrency": number,
        },
        "additionalProperties": False,
    }


@cache
def _validator() -> Validator:
    return validator_for(dict(account_schema()))


def account_terms(document: Any) -> tuple[str, AccountTerms]:
    """Read an account: its key, and what it may do.

    Raises:
        DocumentError: Something is wrong with it; the message never shows the key.
    """
    problems = [
        Problem(one.path, f"expected {_KEY_EXPECTED}.") if one.path == ("key",) else one
        for one in violations(_validator(), account_schema(), document)
    ]
    balance = None
    if not problems and "balance" in document:
        try:
            # The shortest form of a TOML float is what was written.
            balance = micros(str(document["balance"]))
        except ValueError as error:
            problems.append(Problem(("balance",), f"{error}."))
    if problems:
        raise DocumentError(problems)
    models, rate, concurrency = (document.get(key) for key in ("models", "rate", "concurrency"))
    # JSON Schema counts 5.0 among the integers.
    return document["key"], AccountTerms(
        balance_micros=balance,
        models=None if models is None else frozenset(models),
        rate=rate
        and Rate(int(rate["calls"]), rate.get("per_s", 1), int(rate.get("burst", rate["calls"]))),
        concurrency=concurrency and int(concurrency),
    )
