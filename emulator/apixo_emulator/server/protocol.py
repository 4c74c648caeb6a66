"""HTTP on the wire: uvicorn's, except that bytes which are no HTTP get the envelope, too."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from apixo_emulator.core.envelope import refusal


class EnvelopeProtocol(HttpToolsProtocol):
    """Answers what cannot be parsed as an error of the catalogue, then hangs up: it is lost."""

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the parent's signature
        """Answer unparsable bytes; ``msg``, the parent's plain text, is not sent."""
        response = refusal("invalid_http")
        head = b"HTTP/1.1 %d Bad Request\r\nconnection: close\r\n" % response.status
        headers = (*response.headers, (b"content-length", b"%d" % len(response.body)))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(head + lines + b"\r\n" + response.body)
        self.transport.close()
