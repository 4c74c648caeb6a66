"""Proxies of the environment: never for this machine, and told if they cannot be used."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apixo_client import Apixo, AsyncApixo, ConfigurationError

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
BALANCE = b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"code":200,"data": 7.5 }'


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def here() -> Iterator[int]:
    """A server of this machine that answers one call."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(BALANCE)

    with socket.create_server(("", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("host", "variable", "proxy"),
    [
        ("127.0.0.1", "HTTP_PROXY", "http://192.0.2.1:9"),
        ("127.0.0.1", "ALL_PROXY", "garbage://"),
        ("localhost", "all_proxy", "socks5://192.0.2.1:9"),
    ],
)
def test_this_machine_is_called_directly(
    monkeypatch: pytest.MonkeyPatch, here: int, *, host: str, variable: str, proxy: str
) -> None:
    monkeypatch.setenv(variable, proxy)
    with Apixo("key", f"http://{host}:{here}", http_timeout=5) as client:
        assert client.balance() == 7.5


@pytest.mark.parametrize("client", [Apixo, AsyncApixo])
@pytest.mark.parametrize("proxy", ["socks5://192.0.2.1:9", "garbage://"])
def test_a_proxy_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, client: Any, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"):
        client("key", "https://api.test")
