"""Settings: where they come from, and what is refused."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from apixo_client import Apixo, AsyncApixo, ConfigurationError, resolve_settings
from apixo_schemas import contract

LIVE = contract().live_base_url


@pytest.mark.parametrize(
    ("given_url", "base_url"),
    [
        ("https://api.apixo.ai", LIVE),
        ("https://api.apixo.ai/", LIVE),
        ("https://api.apixo.ai/api/v1", LIVE),
        ("https://api.apixo.ai/api/v1//", LIVE),
        (" https://api.apixo.ai/api/v1/api/v1\n", LIVE),
        ("http://127.0.0.1:8787", "http://127.0.0.1:8787/api/v1"),
        ("http://[::1]:8787/api/v1/", "http://[::1]:8787/api/v1"),
        ("https://gateway.test/apixo/", "https://gateway.test/apixo/api/v1"),
        ("http://api/v1", "http://api/v1/api/v1"),
    ],
)
def test_the_prefix_is_there_exactly_once(given_url: str, base_url: str) -> None:
    assert resolve_settings("key", given_url).base_url == base_url


@pytest.mark.parametrize(
    "bad",
    [
        "api.apixo.ai",
        "ftp://api.apixo.ai",
        "https://",
        "https:///api/v1",
        "https://user:hunter2@api.apixo.ai",
        "https://api.apixo.ai?x=hunter2",
        "https://api.apixo.ai/#hunter2",
        "https://api.apixo.ai/a b",
        "https://host:port",
        "https://a\x00b",
    ],
)
def test_what_is_no_base_url_is_refused_and_not_repeated(bad: str) -> None:
    with pytest.raises(ConfigurationError, match="absolute http or https URL") as caught:
        Apixo("key", bad)
    assert "hunter2" not in str(caught.value)


def test_arguments_win_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("APIXO_API_KEY", " from-env\n")
    monkeypatch.setenv("APIXO_BASE_URL", "http://env.test")
    settings = resolve_settings()
    assert (settings.api_key, settings.base_url) == ("from-env", "http://env.test/api/v1")
    settings = resolve_settings("argument", "http://arg.test")
    assert (settings.api_key, settings.base_url) == ("argument", "http://arg.test/api/v1")
    assert repr(Apixo()) == "<Apixo http://env.test/api/v1>"
    monkeypatch.setenv("APIXO_BASE_URL", "")
    assert resolve_settings().base_url == LIVE


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_a_missing_key_says_what_to_do(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"Set the environment variable APIXO_API_KEY, or"):
        Apixo(key)


@pytest.mark.parametrize("key", ["schlüssel", "two\nlines", "nul\x00"])
def test_a_key_that_cannot_be_sent_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII") as caught:
        Apixo(key)
    assert key not in str(caught.value)


def test_the_key_is_in_no_repr() -> None:
    settings = resolve_settings("secret-key")
    assert "secret-key" not in repr(settings) + repr(Apixo("secret-key"))


@pytest.mark.parametrize("client", [Apixo, AsyncApixo])
def test_a_transport_beside_a_client_is_refused(client: Any) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200))
    http_client = httpx.Client() if client is Apixo else httpx.AsyncClient()
    with pytest.raises(ConfigurationError, match="at most one"):
        client("key", transport=transport, http_client=http_client)


def test_an_http_client_of_ones_own_is_used_and_left_open() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        # The client's own credentials do not replace the key.
        assert request.headers["Authorization"] == "Bearer key"
        return httpx.Response(200, json={"code": 200, "message": "success", "data": 1})

    transport = httpx.MockTransport(answer)
    with httpx.Client(transport=transport, auth=("user", "password")) as http_client:
        with Apixo("key", http_client=http_client) as client:
            assert client.balance() == 1
        assert not http_client.is_closed


# Proxies of the environment: never for this machine, and told if they cannot be used.
PROXIES = [f"{kind}_proxy" for kind in ("http", "https", "all", "no")]
PROXIES += [name.upper() for name in PROXIES]
BALANCE = b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"code":200,"data": 7.5 }'


def use_proxy(monkeypatch: pytest.MonkeyPatch, variable: str, proxy: str) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, proxy)


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
    use_proxy(monkeypatch, variable, proxy)
    with Apixo("key", f"http://{host}:{here}", http_timeout=5) as client:
        assert client.balance() == 7.5


@pytest.mark.parametrize("client", [Apixo, AsyncApixo])
@pytest.mark.parametrize("proxy", ["socks5://192.0.2.1:9", "garbage://"])
def test_a_proxy_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, client: Any, proxy: str
) -> None:
    use_proxy(monkeypatch, "ALL_PROXY", proxy)
    with pytest.raises(ConfigurationError, match="Check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"):
        client("key", "https://api.test")
