"""Blocks: nested, parallel, as decorators, with options; and what a test asks of them."""

from __future__ import annotations

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.files import file_server

import apixo_emulator
from apixo_emulator.testing import InProcess

BALANCE = "https://api.apixo.ai/api/v1/apikeys/current-balance"
KEY = {"Authorization": "Bearer k"}


def test_the_inner_of_nested_blocks_answers(app: Any) -> None:
    with apixo_emulator.intercept() as outer:
        app.submitted()
        with apixo_emulator.intercept() as inner:
            app.submitted("other.jpg")
            assert len(inner.tasks) == 1
        app.submitted("third.jpg")
        assert len(outer.tasks) == 2


def test_a_thread_is_served_by_the_block_that_is_open(app: Any, emulator: InProcess) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(app.submitted, [f"{number}.jpg" for number in range(8)]))
    assert len(ids) == len(emulator.tasks) == 8


def test_parallel_async_tasks_have_blocks_of_their_own() -> None:
    async def run(calls: int) -> int:
        async with apixo_emulator.intercept() as emulator, httpx.AsyncClient() as client:
            for _ in range(calls):
                await client.get(BALANCE, headers=KEY)
                await asyncio.sleep(0)
            return len(emulator.requests)

    async def every() -> list[int]:
        return await asyncio.gather(*(run(calls) for calls in (1, 2, 3)))

    assert asyncio.run(every()) == [1, 2, 3]


def test_a_decorator_gives_the_emulator_to_who_wants_it() -> None:
    @apixo_emulator.intercept(balance=7)
    def wants(emulator: InProcess) -> float:
        found = httpx.get(BALANCE, headers=KEY).json()["data"]
        assert len(emulator.requests) == 1
        return float(found)

    @apixo_emulator.intercept(balance=8)
    async def wants_not() -> float:
        async with httpx.AsyncClient() as client:
            return float((await client.get(BALANCE, headers=KEY)).json()["data"])

    assert (wants(), wants()) == (7, 7)
    assert asyncio.run(wants_not()) == 8


def test_keys_and_their_accounts(app: Any, tmp_path: Path) -> None:
    config = tmp_path / "apixo-emulator.toml"
    config.write_text('[[account]]\nkey = "k"\nbalance = "0.01"\n', "utf-8")
    with apixo_emulator.intercept(config=config):
        assert app.submit().status == 200
        assert app.submit("b.jpg").status == 402
    with apixo_emulator.intercept(api_key="another"):
        assert app.submit().status == 401


def test_a_scenario_for_some_calls(app: Any, emulator: InProcess) -> None:
    rule = emulator.scenario("http-503", times=2, image_url="*bad*")
    assert [app.submit(f"{name}.jpg").status for name in ("bad", "good", "bad", "bad")] == [
        503,
        200,
        503,
        200,
    ]
    assert emulator.scenarios[0]["used"] == 2
    emulator.remove_scenario(rule)
    assert emulator.scenarios == []


def test_a_reset_begins_anew(app: Any) -> None:
    with apixo_emulator.intercept(scenario="Timeout") as emulator:
        first = app.submitted()
        emulator.settle()
        assert app.state(first) == "failed"
        emulator.reset()
        assert (emulator.tasks, list(emulator.requests)) == ([], [])
        assert app.submitted() == first
        emulator.settle()
        assert app.state(first) == "failed"


def submitted_picture(app: Any, url: str) -> str:
    body = json.dumps({"input": {"image_urls": [url], "resolution": "2k"}}).encode()
    submit = "https://api.apixo.ai/api/v1/generateTask/image-upscaler"
    return str(app.send("POST", submit, body).data["taskId"])


def test_a_result_is_the_source_enlarged(app: Any, rocket: Path) -> None:
    inlined = f"data:image/jpeg;base64,{base64.b64encode(rocket.read_bytes()).decode()}"
    with file_server() as files, apixo_emulator.intercept() as emulator:
        on_this_machine = files.url("/in.jpg", rocket.read_bytes())
        ids = [submitted_picture(app, url) for url in (inlined, on_this_machine)]
        emulator.settle()
        for task_id in ids:
            (found,) = json.loads(app.poll(task_id)["resultJson"])["resultUrls"]
            picture = httpx.get(found)
            assert picture.headers["content-type"] == "image/jpeg"
            assert len(picture.content) > 100_000
        assert files.asked == ["/in.jpg"]


def test_a_result_names_its_version_and_when_its_task_ended(app: Any, emulator: InProcess) -> None:
    task_id = app.submitted()
    emulator.settle()
    found = app.poll(task_id)
    (url,) = json.loads(found["resultJson"])["resultUrls"]
    whole, head = httpx.get(url), httpx.head(url)
    assert whole.headers["last-modified"] == formatdate(found["completeTime"] / 1000, usegmt=True)
    assert whole.headers["etag"] == head.headers["etag"]
    assert (head.content, head.headers["content-length"]) == (b"", str(len(whole.content)))


def test_drawing_leaves_libvips_to_the_application(app: Any) -> None:
    pyvips = pytest.importorskip("pyvips")
    before = (pyvips.cache_get_max(), pyvips.concurrency_get())
    with apixo_emulator.intercept() as emulator:
        task_id = app.submitted()
        emulator.settle()
        (url,) = json.loads(app.poll(task_id)["resultJson"])["resultUrls"]
        app.get(url)
    assert (pyvips.cache_get_max(), pyvips.concurrency_get()) == before
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="3" height="2"></svg>'
    assert pyvips.Image.svgload_buffer(svg).width == 3
