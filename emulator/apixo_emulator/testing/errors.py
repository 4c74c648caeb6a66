"""What can go wrong with interception itself; all of it is loud."""

from __future__ import annotations


class InterceptionError(RuntimeError):
    """Calls would not reach the emulator; the message says which and what to do."""


class NetworkBlockedError(RuntimeError):
    """A call to another host was refused, as `block_network` asks, or to the API's at a wrong port.

    No error of an HTTP library, so that no retry and no fallback hides it.
    """


class NotVerifiedError(AssertionError):
    """The calls are not those that were expected; the message says what differs."""


class WaitedInVainError(RuntimeError):
    """The code under test waits for what never comes; the message says for what."""
