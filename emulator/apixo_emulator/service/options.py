"""How an emulator behaves, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apixo_emulator.domain.accounts import AccountTerms
from apixo_emulator.domain.deliveries import CallbackOptions
from apixo_emulator.domain.tasks import Latency
from apixo_emulator.service.worlds import WorldOptions


@dataclass(frozen=True, slots=True)
class Options:
    """How the emulator behaves. ``api_keys`` None accepts any key; money is in millionths of USD.

    ``accounts`` are the terms of keys, by key.
    """

    latency: Latency
    balance_micros: int
    api_keys: frozenset[str] | None = None
    public_url: str | None = None
    callbacks: CallbackOptions = field(default_factory=CallbackOptions)
    worlds: WorldOptions = field(default_factory=WorldOptions)
    accounts: Mapping[str, AccountTerms] = field(default_factory=dict)
