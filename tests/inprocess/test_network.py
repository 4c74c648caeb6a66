"""While a session is open, no connection to the API's hosts leaves the process."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import httpcore
import httpx
import pytest
import requests
import trio
import urllib3
from support.files import elsewhere, file_server

import apixo_emulator
from apixo_emulator.testing import NetworkBlockedError

LIVE = ("api.apixo.ai", 443)


def connect(address: Any) -> None:
    with socket.socket() as sock:
        sock.connect(address)


def connect_ex(address: Any) -> None:
    with socket.socket() as sock:
        sock.connect_ex(address)


def tls(address: Any) -> None:
    ours, other = socket.socketpair()
    with ours, other:
        ssl.create_default_context().wrap_socket(ours, server_hostname=address[0])


def tls_in_memory(address: Any) -> None:
    context = ssl.create_default_context()
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=address[0])


def by_uvloop(wait: Callable[[asyncio.AbstractEventLoop], Any]) -> None:
    async def run() -> None:
        await wait(asyncio.get_running_loop())

    pytest.importorskip("uvloop").run(run())


def uvloop_s_socket(address: Any) -> None:
    with socket.socket() as sock:
        sock.settimeout(0)
        by_uvloop(lambda loop: loop.sock_connect(sock, address))


WAYS: dict[str, Callable[[Any], object]] = {
    "look-up": lambda address: socket.getaddrinfo(*address),
    "gethostbyname": lambda address: socket.gethostbyname(address[0]),
    "gethostbyname_ex": lambda address: socket.gethostbyname_ex(address[0]),
    "look-up of bytes": lambda address: socket.getaddrinfo(address[0].encode(), address[1]),
    "look-up in capitals": lambda address: socket.getaddrinfo(f"{address[0].upper()}.", None),
    "create_connection": socket.create_connection,
    "connect": connect,
    "connect_ex": connect_ex,
    "asyncio": lambda address: asyncio.run(asyncio.open_connection(*address)),
    "trio": lambda address: trio.run(partial(trio.open_tcp_stream, *address)),
    "TLS": tls,
    "TLS in memory": tls_in_memory,
    "uvloop": lambda address: by_uvloop(lambda _: asyncio.open_connection(*address)),
    "look-up of uvloop": lambda address: by_uvloop(lambda loop: loop.getaddrinfo(*address)),
    "socket of uvloop": uvloop_s_socket,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_live_host_cannot_be_reached(way: str) -> None:
    with (
        apixo_emulator.intercept(),
        pytest.raises((NetworkBlockedError, ExceptionGroup)) as caught,
    ):
        WAYS[way](LIVE)
    assert "mocks-and-clocks.md" in repr(caught.value)


def test_a_look_up_that_another_mock_has_put_back_is_refused_in_the_next_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = socket.getaddrinfo
    with apixo_emulator.intercept():
        monkeypatch.setattr(socket, "getaddrinfo", real)
        with apixo_emulator.intercept(), pytest.raises(NetworkBlockedError):
            socket.getaddrinfo(*LIVE)
    assert socket.getaddrinfo is real


@pytest.mark.parametrize("way", ["create_connection", "connect", "asyncio", "uvloop"])
def test_another_base_url_cannot_be_reached_but_its_neighbours_can(way: str) -> None:
    with elsewhere() as url, elsewhere() as other:
        ports = [int(found.rpartition(":")[2]) for found in (url, other)]
        with apixo_emulator.intercept(base_url=url):
            with pytest.raises(NetworkBlockedError):
                WAYS[way](("127.0.0.1", ports[0]))
            socket.create_connection(("127.0.0.1", ports[1])).close()
        socket.create_connection(("127.0.0.1", ports[0])).close()


def by_httpcore(proxy: str, url: str) -> None:
    with httpcore.HTTPProxy(proxy) as pool:
        pool.request("GET", url)


async def _by_async_httpcore(proxy: str, url: str) -> None:
    async with httpcore.AsyncHTTPProxy(proxy) as pool:
        await pool.request("GET", url)


def by_httpcore_on_asyncio(proxy: str, url: str) -> None:
    asyncio.run(_by_async_httpcore(proxy, url))


def by_httpcore_on_trio(proxy: str, url: str) -> None:
    trio.run(_by_async_httpcore, proxy, url)


def by_http_client(proxy: str, url: str) -> None:
    with closing(http.client.HTTPConnection(proxy.removeprefix("http://"))) as connection:
        connection.putrequest("GET", url)
        connection.endheaders()


def by_socket(proxy: str, url: str) -> None:
    host, port = proxy.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        name = url.split("/")[2].encode()
        sock.sendmsg([b"GET / HTTP/1.1\r\nAccept: */*\r\nhost:%b\r\n\r\n" % name])


@pytest.mark.parametrize(
    "send",
    [by_httpcore, by_httpcore_on_asyncio, by_httpcore_on_trio, by_http_client, by_socket],
)
@pytest.mark.parametrize("base", ["http://api.apixo.ai", "http://gateway.test:81"])
def test_no_proxy_is_asked_for_the_api(send: Callable[[str, str], None], base: str) -> None:
    with (
        file_server() as proxy,
        apixo_emulator.intercept(base_url="http://gateway.test:81"),
        # A transport of asyncio logs the error and closes the connection.
        pytest.raises((NetworkBlockedError, httpcore.ReadError)),
    ):
        send(proxy.origin, f"{base}/api/v1/apikeys/current-balance")
    assert proxy.asked == []


@pytest.mark.parametrize("base", ["https://api.apixo.ai", "https://gateway.test:444"])
def test_no_proxy_is_asked_for_a_tunnel_to_the_api(base: str) -> None:
    with (
        file_server() as proxy,
        apixo_emulator.intercept(base_url="https://gateway.test:444"),
        pytest.raises(NetworkBlockedError),
    ):
        by_httpcore(proxy.origin, base)


def test_a_proxy_is_asked_for_other_hosts() -> None:
    with file_server() as proxy, apixo_emulator.intercept(base_url="http://gateway.test:81"):
        for url in ("http://gateway.test/x", "http://other.test/api.apixo.ai"):
            by_httpcore(proxy.origin, url)
        assert proxy.asked == ["http://gateway.test/x", "http://other.test/api.apixo.ai"]


def test_a_mock_that_sends_calls_on_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    real = httpx.HTTPTransport.handle_request
    balance = "https://api.apixo.ai/api/v1/apikeys/current-balance"
    with apixo_emulator.intercept() as emulator:
        # As a mock does that has kept the library's own function, and here is asked directly.
        transport, request = httpx.HTTPTransport(), httpx.Request("GET", balance)
        with transport, pytest.raises(NetworkBlockedError):
            real(transport, request)
        # As it does for clients: then the emulator is asked first.
        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", real)
        assert httpx.get(balance, headers={"Authorization": "Bearer k"}).json()["data"] == 100
        emulator.verify(call="balance", exactly=1)


def test_calls_that_would_go_through_a_proxy_are_answered(
    caller: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with apixo_emulator.intercept(base_url="http://gateway.test") as emulator:
        for base in ("https://api.apixo.ai", "http://gateway.test"):
            assert caller.get(f"{base}/api/v1/apikeys/current-balance").data == 100
        emulator.verify(call="balance", exactly=2)


def test_retries_of_urllib3_take_place() -> None:
    retries = urllib3.Retry(
        3, status_forcelist=[503], allowed_methods=None, raise_on_status=False, backoff_factor=1
    )
    with apixo_emulator.intercept() as emulator, requests.Session() as session:
        session.mount("https://", requests.adapters.HTTPAdapter(max_retries=retries))
        emulator.scenario("http-503", times=2)
        url = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"
        body = json.dumps({"input": {"image_urls": ["https://example.com/in.jpg"]}})
        headers = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        answer = session.post(url, data=body, headers=headers, timeout=60)
        assert answer.status_code == 200
        assert [call.status for call in emulator.requests] == [503, 503, 200]
