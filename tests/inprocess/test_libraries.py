"""Calls of every HTTP library are answered without a socket, faults and all."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import responses
import respx
import urllib3
from support.files import elsewhere

import apixo_emulator
from apixo_emulator.testing import InProcess, NetworkBlockedError
from apixo_schemas import contract

RESETS = (
    httpx.ReadError,
    httpx2.ReadError,
    requests.ConnectionError,
    urllib3.exceptions.ProtocolError,
    ConnectionResetError,
    aiohttp.ClientOSError,
)
CUT_SHORT = (
    httpx.RemoteProtocolError,
    httpx2.RemoteProtocolError,
    requests.exceptions.ChunkedEncodingError,
    urllib3.exceptions.ProtocolError,
    http.client.IncompleteRead,
    aiohttp.ClientPayloadError,
)


def test_a_task_is_submitted_polled_and_its_result_fetched(
    caller: Any, emulator: InProcess
) -> None:
    task_id = caller.submitted()
    assert caller.state(task_id) == "pending"
    emulator.advance(seconds=41)
    done = caller.poll(task_id)
    assert done["state"] == "success"
    (url,) = json.loads(done["resultJson"])["resultUrls"]
    assert url.startswith("https://api.apixo.ai/files/")
    assert caller.get(url).body.startswith(b"\xff\xd8\xff")
    assert float(caller.balance()) == 99.99


def test_a_reset_is_the_library_s_own_error(caller: Any) -> None:
    with apixo_emulator.intercept(), pytest.raises(RESETS):
        caller.submit("emulate/reset.jpg")


def test_a_truncated_answer_is_the_library_s_own_error(caller: Any) -> None:
    with apixo_emulator.intercept(), pytest.raises(CUT_SHORT):
        caller.submit("emulate/truncated.jpg")


def test_a_dripping_answer_is_whole_in_the_end(caller: Any) -> None:
    with apixo_emulator.intercept():
        assert caller.submitted("emulate/drip.jpg")


def test_aiohttp_may_wait_for_100_continue() -> None:
    async def run() -> tuple[int, Any]:
        body = {"input": {"image_urls": ["https://example.com/in.jpg"]}}
        url = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"
        headers = {"Authorization": "Bearer k"}
        limit = aiohttp.ClientTimeout(30)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, json=body, headers=headers, expect100=True) as answer,
        ):
            return answer.status, (await answer.json())["code"]

    with apixo_emulator.intercept():
        assert asyncio.run(run()) == (200, 200)


def test_a_stream_gets_a_dripping_answer_byte_by_byte() -> None:
    body = {"input": {"image_urls": ["https://example.com/emulate/drip.jpg"]}}
    url = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"
    with (
        apixo_emulator.intercept(),
        httpx.stream("POST", url, json=body, headers={"Authorization": "Bearer k"}) as answer,
    ):
        assert {len(piece) for piece in answer.iter_raw()} == {1}


def test_a_refusal_is_an_answer(caller: Any, emulator: InProcess) -> None:
    assert caller.submit("emulate/html-502.jpg").status == 502
    assert emulator.tasks == []


def test_this_machine_stays_reachable(caller: Any) -> None:
    with elsewhere() as url, apixo_emulator.intercept(block_network=True) as emulator:
        assert caller.get(f"{url}/x").body == b"me"
        assert list(emulator.requests) == []


def test_other_hosts_are_refused_on_request(caller: Any) -> None:
    with (
        apixo_emulator.intercept(block_network=True),
        pytest.raises(NetworkBlockedError, match=r"https://example\.com.*APIXO_BASE_URL"),
    ):
        caller.get("https://example.com/")


@pytest.mark.parametrize(
    "address", ["http://api.apixo.ai", "https://api.apixo.ai:8443", "http://API.apixo.ai."]
)
def test_a_key_does_not_go_to_the_live_host_by_mistake(app: Any, address: str) -> None:
    with (
        apixo_emulator.intercept(),
        pytest.raises(NetworkBlockedError, match=r"the API is at https://api\.apixo\.ai"),
    ):
        app.get(f"{address}/api/v1/apikeys/current-balance")


def test_a_host_may_be_written_in_several_ways(caller: Any) -> None:
    with apixo_emulator.intercept():
        assert caller.get("https://API.APIXO.ai.:443/api/v1/apikeys/current-balance").data == 100


def test_a_body_beyond_the_limit_is_refused_as_by_the_server(app: Any, emulator: InProcess) -> None:
    submit = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"
    assert app.send("POST", submit, b" " * (contract().assumed("body.limit") + 1)).status == 413
    assert emulator.requests[0].decision == "the body is larger than the limit"


def test_a_base_url_of_the_user_s_own(caller: Any) -> None:
    with apixo_emulator.intercept(base_url="http://gateway.test:81/apixo/api/v1") as emulator:
        task_id = caller.submit(base="http://gateway.test:81/apixo").data["taskId"]
        emulator.settle()
        poll = f"http://gateway.test:81/apixo/api/v1/statusTask/image-upscaler?taskId={task_id}"
        (url,) = json.loads(caller.get(poll).data["resultJson"])["resultUrls"]
        assert url.startswith("http://gateway.test:81/apixo/files/")
        assert caller.get(url).status == 200


def test_the_base_url_of_the_environment(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with apixo_emulator.intercept():
        monkeypatch.setenv("APIXO_BASE_URL", "http://emulator.test/api/v1")
        assert app.submit(base="http://emulator.test").status == 200


@pytest.mark.parametrize("using", ["httpx", "httpcore"])
def test_after_a_block_of_respx_within_ours_calls_go_out_again(app: Any, using: str) -> None:
    with elsewhere() as url, apixo_emulator.intercept():
        with respx.mock(using=using) as mock:
            mock.get("https://mocked.test/").respond(text="mocked")
            assert app.get("https://mocked.test/").body == b"mocked"
        assert app.get(url).body == b"me"


def test_respx_still_refuses_what_it_does_not_know(app: Any) -> None:
    with (
        apixo_emulator.intercept(),
        respx.mock,
        pytest.raises(AssertionError, match="not mocked"),
    ):
        app.get("https://unknown.test/")


LATER = """
import sys
import apixo_emulator
with apixo_emulator.intercept() as emulator:
    assert not {"httpx", "httpx2", "requests", "urllib3", "aiohttp", "pyvips"} & set(sys.modules)
    import requests, httpx, httpx2, aiohttp, asyncio
    url = "https://api.apixo.ai/api/v1/apikeys/current-balance"
    headers = {"Authorization": "Bearer k"}
    async def ask():
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return await answer.json()
    for found in (
        requests.get(url, headers=headers).json(),
        httpx.get(url, headers=headers).json(),
        httpx2.get(url, headers=headers).json(),
        asyncio.run(ask()),
    ):
        assert found["data"] == 100, found
    assert len(emulator.requests) == 4

    import responses, requests_mock, vcr, aioresponses, respx
    with responses.RequestsMock():
        assert requests.get(url, headers=headers).json()["data"] == 100
    with requests_mock.Mocker():
        assert requests.get(url, headers=headers).json()["data"] == 100
    with vcr.use_cassette("none.yaml", record_mode="none"):
        assert httpx.get(url, headers=headers).json()["data"] == 100
    with respx.mock(using="httpx"):
        assert httpx.get(url, headers=headers).json()["data"] == 100
    with aioresponses.aioresponses():
        try:
            asyncio.run(ask())
        except apixo_emulator.testing.InterceptionError:
            print("refused")
"""


@pytest.mark.slow
def test_what_is_imported_within_the_block_is_patched_and_nothing_is_imported_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LATER], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("refused\n", "")


PATCHED = [
    (httpx.HTTPTransport, "handle_request"),
    (httpx.AsyncClient, "send"),
    (urllib3.HTTPConnectionPool, "urlopen"),
    (http.client.HTTPConnection, "request"),
    (aiohttp.BaseConnector, "connect"),
    (responses.RequestsMock, "_on_request"),
    (socket, "getaddrinfo"),
    (socket.socket, "connect"),
    (ssl.SSLContext, "wrap_bio"),
    (time, "sleep"),
    (asyncio, "sleep"),
]


def patched() -> list[Any]:
    return [getattr(owner, name) for owner, name in PATCHED]


def test_everything_is_as_before_afterwards() -> None:
    before = patched()
    with apixo_emulator.intercept():
        assert not any(one is other for one, other in zip(before, patched(), strict=True))
    assert patched() == before


def test_patches_that_another_mock_puts_back_after_a_block_do_not_pile_up() -> None:
    before = patched()
    for _ in range(2):
        with pytest.MonkeyPatch.context() as mock, apixo_emulator.intercept():
            during = patched()
            for owner, name in PATCHED:
                mock.setattr(owner, name, lambda *_: None)
        assert patched() == during
    with apixo_emulator.intercept():
        pass
    assert patched() == before
