"""HTTP on the wire: uvicorn's, but in the envelope, with bounded heads, and deaf to upgrades."""

from __future__ import annotations

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apixo_emulator.domain.envelope import refusal
from apixo_emulator.http.wire import TRANSPORT

# Request line and headers together; common servers take 8 to 64 KiB.
_LARGEST_HEAD = 65_536
# An `Upgrade` header makes the parser take the body for another protocol's. Some clients send one
# with every call (h2c), and a server may ignore it (RFC 9110, 7.8). So it is renamed before the
# parser sees it. In a JSON body these bytes cannot stand: a token never follows a line break so.
_UPGRADE = re.compile(rb"\r\nupgrade[ \t]*:", re.IGNORECASE)


class EnvelopeProtocol(HttpToolsProtocol):
    """Answers what cannot be parsed as an error of the catalogue, then hangs up: it is lost."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Read what came; a head beyond the limit ends the connection."""
        if b"pgrade" in data or b"PGRADE" in data:
            data = _UPGRADE.sub(b"\r\nx-ignored-upgrade:", data)
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > _LARGEST_HEAD and not self.transport.is_closing():
            self._refuse("head_too_large")

    def on_headers_complete(self) -> None:
        """The head is whole: what follows is the body, which has a limit of its own."""
        self._in_head = False
        extensions: dict[str, Any] = {TRANSPORT: self.transport}
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next bytes are another call's head."""
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parent's signature
        """Answer unparsable bytes; ``msg``, the parent's plain text, is not sent."""
        self._refuse("invalid_http")

    def _refuse(self, error_id: str) -> None:
        response = refusal(error_id)
        head = b"HTTP/1.1 %d Refused\r\nconnection: close\r\n" % response.status
        headers = (*response.headers, (b"content-length", b"%d" % len(response.body)))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(head + lines + b"\r\n" + response.body)
        self.transport.close()
