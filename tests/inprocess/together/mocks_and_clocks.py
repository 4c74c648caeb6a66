"""A user's suite with every library of docs/mocks-and-clocks.md; a test's name begins with its library.

It is run in a process of its own, where pytest loads all their plugins.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import urllib.request
from pathlib import Path
from time import sleep
from typing import Any

import aiohttp
import anyio
import httpx
import pytest
import requests
import responses
import respx
import time_machine as machine
import trio
import vcr
from aioresponses import aioresponses
from fastapi import FastAPI
from fastapi.testclient import TestClient
from freezegun import freeze_time

from apixo_client import Apixo, AsyncApixo
from apixo_emulator.testing import InProcess, InterceptionError
from apixo_emulator.testing.controls import Served

IMAGE = "https://example.com/in.jpg"
BALANCE = "https://api.apixo.ai/api/v1/apikeys/current-balance"
KEY = {"Authorization": "Bearer k"}
OTHER = "https://other.test/"
DAY = "2026-01-01"


def by_httpx() -> Any:
    return httpx.get(BALANCE, headers=KEY).json()["data"]


async def async_httpx() -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(BALANCE, headers=KEY)).json()["data"]


def by_async_httpx() -> Any:
    return asyncio.run(async_httpx())


def by_requests() -> Any:
    return requests.get(BALANCE, headers=KEY, timeout=60).json()["data"]


def by_urllib() -> Any:
    with urllib.request.urlopen(urllib.request.Request(BALANCE, headers=KEY)) as answer:
        return json.loads(answer.read())["data"]


async def async_aiohttp() -> Any:
    async with aiohttp.ClientSession() as session, session.get(BALANCE, headers=KEY) as answer:
        return (await answer.json())["data"]


def by_aiohttp() -> Any:
    return asyncio.run(async_aiohttp())


LIBRARIES = [by_httpx, by_requests, by_urllib, by_async_httpx, by_aiohttp]
every_library = pytest.mark.parametrize("balance", LIBRARIES)


@every_library
def test_respx_first(respx_mock: respx.MockRouter, apixo: InProcess, balance: Any) -> None:
    respx_mock.get(OTHER).respond(text="other")
    assert balance() == 100
    assert httpx.get(OTHER).text == "other"
    apixo.verify(call="balance", exactly=1)


def test_respx_last(apixo: InProcess, respx_mock: respx.MockRouter) -> None:
    test_respx_first(respx_mock, apixo, by_httpx)


def test_respx_of_httpx(apixo: InProcess) -> None:
    with respx.mock(using="httpx") as mock:
        test_respx_first(mock, apixo, by_httpx)


@responses.activate
@every_library
def test_responses_first(apixo: InProcess, balance: Any) -> None:
    responses.get(OTHER, body="other")
    assert balance() == 100
    assert requests.get(OTHER, timeout=60).text == "other"
    apixo.verify(call="balance", exactly=1)


def test_responses_last(apixo: InProcess) -> None:
    with responses.RequestsMock() as mock:
        mock.get(OTHER, body="other")
        assert by_requests() == 100
        assert requests.get(OTHER, timeout=60).text == "other"
    apixo.verify(call="balance", exactly=1)


@every_library
def test_requests_mock_first(requests_mock: Any, apixo: InProcess, balance: Any) -> None:
    requests_mock.get(OTHER, text="other")
    assert balance() == 100
    assert requests.get(OTHER, timeout=60).text == "other"
    apixo.verify(call="balance", exactly=1)


def test_requests_mock_last(apixo: InProcess, requests_mock: Any) -> None:
    test_requests_mock_first(requests_mock, apixo, by_requests)


@every_library
def test_pytest_httpx_first(httpx_mock: Any, apixo: InProcess, balance: Any) -> None:
    httpx_mock.add_response(url=OTHER, text="other")
    assert balance() == 100
    assert httpx.get(OTHER).text == "other"
    apixo.verify(call="balance", exactly=1)


def test_pytest_httpx_last(apixo: InProcess, httpx_mock: Any) -> None:
    test_pytest_httpx_first(httpx_mock, apixo, by_httpx)


@every_library
def test_aioresponses_with_passthrough(apixo: InProcess, balance: Any) -> None:
    with aioresponses(passthrough=["https://api.apixo.ai"]):
        assert balance() == 100
    apixo.verify(call="balance", exactly=1)


@pytest.mark.usefixtures("apixo")
def test_aioresponses_without_passthrough() -> None:
    with aioresponses():
        assert by_httpx() == 100
        with pytest.raises(InterceptionError, match="passthrough"):
            by_aiohttp()


@every_library
@pytest.mark.parametrize("mode", ["once", "none"])
def test_vcrpy_last(apixo: InProcess, balance: Any, mode: str, tmp_path: Path) -> None:
    cassette = tmp_path / "cassette.yaml"
    with vcr.use_cassette(str(cassette), record_mode=mode):
        assert balance() == 100
    assert not cassette.exists()
    apixo.verify(call="balance", exactly=1)


@pytest.mark.vcr
@every_library
def test_pytest_recording(apixo: InProcess, balance: Any) -> None:
    assert balance() == 100
    apixo.verify(call="balance", exactly=1)


@pytest.mark.block_network
@every_library
def test_pytest_recording_blocks_the_network(apixo: InProcess, balance: Any) -> None:
    test_pytest_recording(apixo, balance)


@pytest.mark.disable_socket
@every_library  # async code needs --allow-unix-socket
def test_pytest_socket(apixo: InProcess, balance: Any) -> None:
    test_pytest_recording(apixo, balance)


def test_pytest_socket_is_undone() -> None:
    with socket.create_server(("localhost", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def upscale() -> Any:
    with Apixo() as client:
        return client.upscale(IMAGE).task.cost_time


app = FastAPI()  # not under frozen time, where pydantic cannot be imported
app.post("/upscale")(upscale)


async def async_upscale() -> Any:
    async with AsyncApixo() as client:
        return (await client.upscale(IMAGE)).task.cost_time


def through_fastapi() -> Any:
    """Call an endpoint that FastAPI runs in a thread."""
    with TestClient(app) as client:
        return client.post("/upscale").json()


WAYS = [
    upscale,
    lambda: asyncio.run(async_upscale()),
    through_fastapi,
    lambda: trio.run(async_upscale),
]
every_way = pytest.mark.parametrize("run", WAYS)


@every_way
@pytest.mark.usefixtures("apixo")
def test_freezegun(run: Any) -> None:
    with freeze_time(DAY):
        assert run() == 40_000


@freeze_time(DAY)
def test_freezegun_on_a_port(apixo_server: Served) -> None:
    ends_by_itself(apixo_server)


@every_way
@pytest.mark.usefixtures("apixo")
def test_time_machine(run: Any) -> None:
    with machine.travel(DAY, tick=False):
        assert run() == 40_000


@machine.travel(DAY, tick=False)
def test_time_machine_on_a_port(apixo_server: Served) -> None:
    ends_by_itself(apixo_server)


def ends_by_itself(server: Served) -> None:
    with Apixo() as client:
        task = client.submit(IMAGE)
        for _ in range(1000):  # far longer than it takes
            if server.task(task.id)["state"] == "success":
                return
            time.sleep(0.05)
    pytest.fail("the task has not ended")


@pytest.mark.asyncio
async def test_pytest_asyncio(apixo: InProcess) -> None:
    assert await async_upscale() == 40_000
    assert await async_aiohttp() == 100
    before = apixo.now_ms
    await asyncio.sleep(60)
    await apixo.aadvance(seconds=1)
    assert apixo.now_ms - before == 61_000


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_anyio(apixo: InProcess, anyio_backend: str) -> None:
    assert anyio_backend
    assert await async_upscale() == 40_000
    before = apixo.now_ms
    await anyio.sleep(60)
    await apixo.aadvance(seconds=1)
    assert apixo.now_ms - before == 61_000


def test_trio(apixo: InProcess) -> None:
    async def run() -> None:
        assert await async_upscale() == 40_000
        await trio.sleep(60)

    trio.run(run)
    assert apixo.now_ms > 0


def test_pytest_xdist(apixo: InProcess) -> None:
    assert os.environ["PYTEST_XDIST_WORKER"]
    assert apixo.tasks == []


@pytest.mark.parametrize("number", range(3))
def test_pytest_randomly(apixo: InProcess, number: int) -> None:
    assert number >= 0
    with Apixo() as client:
        assert client.submit(IMAGE).id == "3afd523bb8b770980000000151b7cbd9"
    assert len(apixo.tasks) == 1


def test_monkeypatch_before(monkeypatch: pytest.MonkeyPatch, request: Any) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    request.getfixturevalue("apixo")
    assert upscale() == 40_000
    assert slept == []


@pytest.mark.usefixtures("apixo")
def test_monkeypatch_after(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert upscale() == 40_000
    assert slept


def test_time_sleep_by_its_own_name(apixo: InProcess) -> None:
    assert upscale() == 40_000
    before = apixo.now_ms
    sleep(3600)
    assert apixo.now_ms - before == 3_600_000
