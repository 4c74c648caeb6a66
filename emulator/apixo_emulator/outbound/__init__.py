"""Outbound calls that cannot be turned against the machine or its network: see `core.addresses`."""

from apixo_emulator.outbound.errors import (
    OutboundError,
    OutboundFailed,
    OutboundRefused,
    OutboundTimedOut,
    OutboundTooLarge,
    OutboundUntrusted,
)
from apixo_emulator.outbound.posting import Answer, CallbackSender, Timeouts

__all__ = [
    "Answer",
    "CallbackSender",
    "OutboundError",
    "OutboundFailed",
    "OutboundRefused",
    "OutboundTimedOut",
    "OutboundTooLarge",
    "OutboundUntrusted",
    "Timeouts",
]
