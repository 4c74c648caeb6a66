"""What a Host header may be, and how a web page gives itself away."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apixo_emulator.domain.addresses import AddressRefused, is_loopback_name, scope_of

# A name or address, and a port (RFC 3986, 3.2.2); the first group is the name, brackets included.
HOST = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


def is_rebound(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether a call comes from a web page whose host name was rebound to this machine.

    Such a page is of one origin with the emulator, so the browser lets it call anything. Pages of
    other origins cannot: the key makes the browser ask first, and that is answered 405.
    """
    found = dict(headers)
    origin = found.get(b"origin")
    if origin is None:
        return False
    host = found.get(b"host", b"")
    name = HOST.fullmatch(host)
    same = origin.partition(b"://")[2] == host
    return same and name is not None and not _is_own(name[1].decode().strip("[]"))


def _is_own(name: str) -> bool:
    """A name of this machine, or an address: neither can be rebound."""
    if is_loopback_name(name):
        return True
    try:
        scope_of(name)
    except AddressRefused:
        return False
    return True


def origin_of(scheme: str, host: bytes | None, server: tuple[str, int | None] | None) -> str:
    """Give the origin that a caller used, so that links work through port maps and proxies.

    ``host`` is its Host header; without a usable one ``server``, the address that it reached.
    """
    if host is not None and HOST.fullmatch(host):
        return f"{scheme}://{host.decode()}"
    name, port = server or ("127.0.0.1", None)
    return f"{scheme}://{name}:{port}" if port else f"{scheme}://{name}"
