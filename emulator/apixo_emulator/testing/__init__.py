"""The emulator without a server: calls to the API are answered in the caller's own process."""

from apixo_emulator.testing.block import Interception, intercept
from apixo_emulator.testing.errors import (
    InterceptionError,
    NetworkBlockedError,
    NotVerifiedError,
    WaitedInVainError,
)
from apixo_emulator.testing.inprocess import InProcess
from apixo_emulator.testing.receivers import Callback, Receiver

__all__ = [
    "Callback",
    "InProcess",
    "Interception",
    "InterceptionError",
    "NetworkBlockedError",
    "NotVerifiedError",
    "Receiver",
    "WaitedInVainError",
    "intercept",
]
