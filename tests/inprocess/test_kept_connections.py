"""A connection may be kept for longer than the block in which it was opened; its calls are not."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import requests
import urllib3
from support.files import elsewhere

import apixo_emulator

KEY = {"Authorization": "Bearer k"}
PATH = "/api/v1/apikeys/current-balance"
Get = Callable[[str], bytes]


@contextmanager
def http_client() -> Iterator[Get]:
    connections: dict[str, http.client.HTTPConnection] = {}

    def get(url: str) -> bytes:
        parts = urlsplit(url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        made = connections.setdefault(parts.netloc, kind[parts.scheme](parts.netloc, timeout=60))
        try:
            made.request("GET", parts.path, headers=KEY)
        except ConnectionError:  # as of any connection that the server has closed
            made.close()
            made.request("GET", parts.path, headers=KEY)
        return made.getresponse().read()

    yield get
    for made in connections.values():
        made.close()


@contextmanager
def aiohttp_session() -> Iterator[Get]:
    with asyncio.Runner() as runner:

        async def begin() -> aiohttp.ClientSession:
            return aiohttp.ClientSession(headers=KEY)

        session = runner.run(begin())

        async def get(url: str) -> bytes:
            async with session.get(url) as answer:
                return await answer.read()

        yield lambda url: runner.run(get(url))
        runner.run(session.close())


@pytest.fixture(params=["requests", "urllib3", "httpx", http_client, aiohttp_session])
def get(request: pytest.FixtureRequest) -> Iterator[Get]:
    with ExitStack() as stack:
        session, pool = stack.enter_context(requests.Session()), urllib3.PoolManager()
        client = stack.enter_context(httpx.Client())
        stack.callback(pool.clear)
        simple: dict[Any, Get] = {
            "requests": lambda url: session.get(url, headers=KEY, timeout=60).content,
            "urllib3": lambda url: pool.request("GET", url, headers=KEY, retries=False).data,
            "httpx": lambda url: client.get(url, headers=KEY).content,
        }
        yield simple.get(request.param) or stack.enter_context(request.param())


def balance(get: Get, base: str = "https://api.apixo.ai") -> Any:
    return json.loads(get(f"{base}{PATH}"))["data"]


def test_each_block_answers_its_own_calls(get: Get) -> None:
    for amount in (1, 2):
        with apixo_emulator.intercept(balance=amount):
            assert [balance(get), balance(get)] == [amount, amount]


def test_the_inner_block_answers_over_the_outer_s_connection(get: Get) -> None:
    with apixo_emulator.intercept(balance=1):
        assert balance(get) == 1
        with apixo_emulator.intercept(balance=2):
            assert balance(get) == 2
        assert balance(get) == 1


def test_a_connection_to_the_network_is_not_used_in_a_block_nor_one_to_memory_after_it(
    get: Get,
) -> None:
    with elsewhere() as url:
        assert get(f"{url}{PATH}") == b"me"
        for amount in (1, 2):
            with apixo_emulator.intercept(base_url=url, balance=amount):
                assert balance(get, url) == amount
            assert get(f"{url}{PATH}") == b"me"
        with apixo_emulator.intercept(base_url=url, balance=3):
            assert balance(get, url) == 3
            with apixo_emulator.intercept():
                assert balance(get, url) == 3
