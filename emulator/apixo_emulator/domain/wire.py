"""HTTP requests and responses as values, independent of the transport."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apixo_emulator.domain.pictures import PictureSpec

Headers = tuple[tuple[bytes, bytes], ...]

JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)
CONTROL_PREFIX = "/_emulator/"
# The built-in receiver of callbacks: the one control path that other programs may call.
INBOX_PATH = f"{CONTROL_PREFIX}inbox"
TOKEN_HEADER = "x-apixo-emulator-token"  # noqa: S105 - a header's name
TOKEN_COOKIE = "apixo-emulator-token"  # noqa: S105 - a cookie's name


class WireFault(StrEnum):
    """How a response is damaged on its way to the client."""

    RESET = "reset"
    TRUNCATED = "truncated"
    DRIP = "drip"
    INVALID_JSON = "invalid-json"
    HTML = "html-502"


# Named tuples are created in two fifths of the time of dataclasses, and each submit creates several.
class HttpRequest(NamedTuple):
    """One API call.

    Header names are lower-case, as ASGI gives them; ``path`` is percent-decoded, ``query`` is not.
    ``base_url`` is the origin that the caller used, without a path, e.g. ``http://127.0.0.1:8787``.
    """

    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    base_url: str

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header, ``name`` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return None


class HttpResponse(NamedTuple):
    """One response. With a ``picture`` the adapter renders it and sends it as the body.

    A ``fault`` is `WireFault.RESET`, ``TRUNCATED`` or ``DRIP``, which the adapter performs while it
    sends; the other faults have changed the body already. A server waits ``delay_ms`` before it sends
    a picture.
    """

    status: int
    body: bytes
    headers: Headers = JSON_HEADERS
    picture: PictureSpec | None = None
    fault: WireFault | None = None
    delay_ms: int = 0
