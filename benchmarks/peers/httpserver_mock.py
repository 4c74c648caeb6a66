"""pytest-httpserver with two handlers that answer what they were told to.

Run: python httpserver_mock.py PORT
"""

from __future__ import annotations

import signal
import sys

from pytest_httpserver import HTTPServer
from raw_asgi import STATUS, SUBMITTED
from werkzeug.serving import WSGIRequestHandler


class _Unlogged(HTTPServer):
    # A log of all requests is kept for `check`; under load it would only grow.
    def add_assertion(self, obj: str | AssertionError) -> None:
        pass


def main() -> None:
    """Serve until a signal."""
    WSGIRequestHandler.protocol_version = "HTTP/1.1"  # keep connections, as all others here do
    server = _Unlogged(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
    answers = {"GET": ("statusTask", STATUS), "POST": ("generateTask", SUBMITTED)}
    for method, (name, body) in answers.items():
        handler = server.expect_request(f"/api/v1/{name}/image-upscaler", method=method)
        handler.respond_with_data(body, content_type="application/json")
    server.start()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    main()
