"""The TLS settings of outbound calls."""

import ssl
from functools import cache
from pathlib import Path

from apixo_emulator.outbound.errors import OutboundFailed


@cache
def tls_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """The TLS settings of outbound calls: the public authorities and, if given, those in a PEM file.

    Raises:
        OutboundFailed: the file cannot be read as PEM certificates.
    """
    import httpx

    context = httpx.create_ssl_context(trust_env=False)
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # SSLError is one
            raise OutboundFailed(
                f"the CA file {ca_file} cannot be read: {error.strerror}"
            ) from error
    return context
