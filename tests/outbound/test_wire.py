from __future__ import annotations

import errno
import socket
import ssl
import threading
from contextlib import suppress

import httpcore
import pytest

from apixo_emulator.domain.addresses import LOOPBACK_ONLY
from apixo_emulator.outbound import OutboundFailed, OutboundUntrusted
from apixo_emulator.outbound.errors import in_words
from apixo_emulator.outbound.fetching import fetch
from apixo_emulator.outbound.wire import Deadline, PinnedNetwork


def test_every_step_after_the_deadline_is_late() -> None:
    deadline = Deadline(10)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        network = PinnedNetwork(["127.0.0.1"], deadline)
        stream = network.connect_tcp("ignored.example", port)
        deadline._end = 0
        with pytest.raises(httpcore.ConnectTimeout):
            network.connect_tcp("ignored.example", port)
        with pytest.raises(httpcore.WriteTimeout):
            stream.write(b"x")
        with pytest.raises(httpcore.ReadTimeout):
            stream.read(1)
        with pytest.raises(httpcore.ConnectTimeout):
            stream.start_tls(ssl.create_default_context())
        assert stream.get_extra_info("socket").fileno() == -1  # closed: nobody else could


def test_a_server_without_tls_is_named() -> None:
    def answer_plainly() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            with suppress(ConnectionError):
                connection.recv(65536)  # returns when the caller hangs up

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer_plainly)
        server.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(OutboundUntrusted, match="no TLS connection to 127"):
            fetch(url, policy=LOOPBACK_ONLY, max_bytes=1, timeout_s=5)
        server.join(10)


def test_a_failure_is_told_by_its_cause() -> None:
    error = httpcore.ConnectError("All connection attempts failed")
    error.__cause__ = OSError(errno.EHOSTUNREACH, "No route to host")
    told = in_words(error, "10.0.0.1:80")
    assert str(told) == "no connection to 10.0.0.1:80: No route to host"
    assert type(told) is OutboundFailed
    assert str(in_words(httpcore.ReadError(), "a.example")) == (
        "the connection to a.example broke: ReadError"
    )
