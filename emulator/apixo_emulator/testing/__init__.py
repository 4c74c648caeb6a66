"""The emulator in tests: calls to the API are answered in the caller's own process."""

from apixo_emulator.testing.clock import WaitedInVainError
from apixo_emulator.testing.controls import NotVerifiedError
from apixo_emulator.testing.emulator import InProcess
from apixo_emulator.testing.interception import Interception, intercept
from apixo_emulator.testing.receivers import Callback, Receiver
from apixo_emulator.testing.routing import InterceptionError, NetworkBlockedError

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
