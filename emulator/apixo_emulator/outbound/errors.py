"""Failures of outbound calls, each with a message that a person understands.

OutboundError
├── OutboundRefused     the URL, an address behind it or a redirect must not be called
├── OutboundTooLarge    the body is longer than allowed
└── OutboundFailed      no answer: name, connection, TLS, protocol
└── OutboundTimedOut    a time limit passed
"""

import ssl
from typing import Self

from apixo_emulator.domain.reach import AddressRefused


class OutboundError(Exception):
    """An outbound call that gave no usable answer, and why in words.

    Attributes:
        url: what was called, as given: unlike the message it may hold user information.
    """

    def __init__(self, message: str, *, url: str = "") -> None:
        self.url = url
        super().__init__(message)


class OutboundRefused(OutboundError):
    """The URL, an address that its name resolves to, or a redirect is outside the policy."""

    @classmethod
    def because(cls, refusal: AddressRefused, url: str = "") -> Self:
        """Carry the words of an address refusal."""
        return cls(str(refusal), url=url)


class OutboundTooLarge(OutboundError):
    """The body is longer than allowed, as sent or once decompressed."""


class OutboundFailed(OutboundError):
    """The receiver could not be reached or did not speak HTTP."""


class OutboundUntrusted(OutboundFailed):
    """No trusted TLS connection: the certificate does not verify, or the handshake fails."""


class OutboundTimedOut(OutboundFailed):
    """A time limit passed before the answer was complete."""


def in_words(error: Exception, place: str, *, connecting: bool = False) -> OutboundFailed:
    """Translate a network failure other than a time limit; `place` is the host with its port."""
    cause = _root(error)
    why = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    if isinstance(cause, ssl.SSLCertVerificationError):
        words = f"the TLS certificate of {place} is not trusted: {cause.verify_message}"
        return OutboundUntrusted(words)
    if isinstance(cause, ssl.SSLError):
        return OutboundUntrusted(f"no TLS connection to {place}: {why}")
    if isinstance(cause, ConnectionRefusedError):
        return OutboundFailed(f"connection refused by {place}")
    if connecting or type(error).__name__ == "ConnectError":
        return OutboundFailed(f"no connection to {place}: {why}")
    if type(error).__name__ in ("RemoteProtocolError", "BrokenProtocol"):
        return OutboundFailed(f"{place} broke the HTTP protocol: {why}")
    return OutboundFailed(f"the connection to {place} broke: {why}")


def unresolved(host: str, error: OSError | UnicodeError) -> OutboundFailed:
    """Say that a name has no address."""
    why = getattr(error, "strerror", None) or error
    return OutboundFailed(f"the name {host} does not resolve: {why}")


def _root(error: BaseException) -> BaseException:
    """Find the failure at the bottom, which says what happened; contexts may be the caller's own."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
