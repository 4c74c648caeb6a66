"""Who may steer: the control API listens beside the API on a developer's machine.

A web page must not reach it: the Host must name this machine (DNS rebinding) and an Origin must be
the Host's own (CSRF). Nor must another machine, unless it knows the token.
"""

from __future__ import annotations

from hmac import compare_digest

from starlette.requests import Request

from apixo_emulator.domain.addresses import is_loopback_name
from apixo_emulator.domain.control_names import TOKEN_COOKIE, TOKEN_HEADER
from apixo_emulator.http.api import HOST

_SHOWN = 80


def stranger(request: Request, token: str | None) -> str | None:
    """Say why a caller must not steer, None for one on this machine or with the token."""
    hosts = request.headers.getlist("host")
    host = hosts[0] if len(hosts) == 1 else ""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{host}":
        return (
            f"control calls from another site are not taken, found the origin {origin[:_SHOWN]!r}"
        )
    if _knows(request, token):
        return None
    found = HOST.fullmatch(host.encode("latin-1"))
    name = found[1].decode().strip("[]") if found else host
    if found is None or not is_loopback_name(name):
        return (
            f"control calls are taken under a name of this machine only, found the host"
            f" {name[:_SHOWN]!r}; use http://127.0.0.1 with the emulator's port, or send the"
            f" emulator's --control-token in the header {TOKEN_HEADER}"
        )
    if request.client is not None and not is_loopback_name(request.client.host):
        return (
            f"control calls from another machine need the emulator's --control-token in the header"
            f" {TOKEN_HEADER}, found a call from {request.client.host} without it"
        )
    return None


def _knows(request: Request, token: str | None) -> bool:
    if token is None:
        return False
    given = request.headers.get(TOKEN_HEADER) or request.cookies.get(TOKEN_COOKIE) or ""
    return compare_digest(given.encode("latin-1", "replace"), token.encode("latin-1", "replace"))
