"""Sleepers in tasks, threads and event loops: each sleeps in the emulator's time, none waits for real."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import httpx
import pytest
import trio

import apixo_emulator
from apixo_client import Apixo, AsyncApixo

IMAGE = "https://example.com/in.jpg"
BALANCE = "https://api.apixo.ai/api/v1/apikeys/current-balance"
KEY = {"Authorization": "Bearer k"}
RUNNERS: dict[str, Any] = {"asyncio": lambda main: asyncio.run(main()), "trio": trio.run}


@pytest.mark.parametrize("library", RUNNERS)
def test_async_tasks_wake_in_order(library: str) -> None:
    woken: list[int] = []

    async def wait(client: httpx.AsyncClient, seconds: float, times: int) -> None:
        await client.get(BALANCE, headers=KEY)
        for _ in range(times):
            await anyio.sleep(seconds)
            await client.get(BALANCE, headers=KEY)
            woken.append(emulator.now_ms - start_ms)

    async def every() -> None:
        async with httpx.AsyncClient() as client, anyio.create_task_group() as group:
            group.start_soon(wait, client, 1, 5)
            group.start_soon(wait, client, 2.5, 2)
            group.start_soon(wait, client, 10, 1)

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        RUNNERS[library](every)
        assert woken == [1000, 2000, 2500, 3000, 4000, 5000, 5000, 10_000]


def test_a_thread_wakes_when_its_time_has_come() -> None:
    begun = threading.Barrier(3)

    def late(seconds: float) -> list[float]:
        with httpx.Client() as client:
            client.get(BALANCE, headers=KEY)
            begun.wait()
            found = []
            for _ in range(3):
                asleep_ms = emulator.now_ms
                time.sleep(seconds)
                found.append(emulator.now_ms - asleep_ms - seconds * 1000)
            return found

    with apixo_emulator.intercept() as emulator, ThreadPoolExecutor(3) as pool:
        assert min(min(found) for found in pool.map(late, (1, 2.5, 10))) >= 0


@pytest.mark.parametrize("library", RUNNERS)
def test_a_watchdog_that_sleeps_longer_does_not_wake_first(library: str) -> None:
    async def watch(scope: anyio.CancelScope) -> None:
        async with httpx.AsyncClient() as client:
            await client.get(BALANCE, headers=KEY)
        await anyio.sleep(120)
        scope.cancel()

    async def upscale() -> int | None:
        async with AsyncApixo(api_key="k") as apixo, anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            done = await apixo.upscale(IMAGE, resolution="2k")
            group.cancel_scope.cancel()
            return done.task.cost_time
        return None

    with apixo_emulator.intercept():
        assert RUNNERS[library](upscale) == 40_000


@pytest.mark.parametrize("library", RUNNERS)
def test_a_cancelled_sleep_does_not_move_the_clock(library: str) -> None:
    async def run() -> None:
        async with httpx.AsyncClient() as client, anyio.create_task_group() as group:

            async def dawdle() -> None:
                await client.get(BALANCE, headers=KEY)
                await anyio.sleep(100)

            group.start_soon(dawdle)
            await client.get(BALANCE, headers=KEY)
            await anyio.sleep(5)
            group.cancel_scope.cancel()
        await anyio.sleep(1)

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        RUNNERS[library](run)
        assert emulator.now_ms - start_ms == 6_000


def test_a_thread_s_sleep_in_an_event_loop_passes() -> None:
    async def run() -> tuple[int | None, Any]:
        async def other(client: httpx.AsyncClient) -> Any:
            await client.get(BALANCE, headers=KEY)
            await asyncio.sleep(1)  # is over long before the loop goes on
            return emulator.now_ms - start_ms

        async with httpx.AsyncClient() as client:
            task = asyncio.create_task(other(client))
            await asyncio.sleep(0)
            with Apixo(api_key="k") as apixo:
                taken = apixo.upscale(IMAGE, resolution="2k").task.cost_time
            return taken, await task

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        taken, late_ms = asyncio.run(run())
    assert taken == 40_000
    assert late_ms >= 40_000


def test_a_receiver_of_callbacks_may_sleep() -> None:
    taken: list[int] = []

    def take(_callback: Any) -> None:
        httpx.get(BALANCE, headers=KEY)
        time.sleep(3)
        taken.append(emulator.now_ms - start_ms)

    with apixo_emulator.intercept() as emulator, Apixo(api_key="k") as apixo:
        start_ms = emulator.now_ms
        emulator.receiver("https://me.test/taken", take)
        apixo.submit(IMAGE, callback_url="https://me.test/taken")
        time.sleep(60)
        assert taken == [43_000]
        assert emulator.now_ms - start_ms == 60_000


def test_many_tasks_at_once() -> None:
    async def run() -> set[int | None]:
        async with AsyncApixo(api_key="k") as apixo:
            done = await asyncio.gather(*(apixo.upscale(f"{IMAGE}?{n}") for n in range(60)))
            return {result.task.cost_time for result in done}

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        assert asyncio.run(run()) == {40_000}
        assert emulator.now_ms - start_ms < 60_000


def test_a_thread_wakes_while_an_event_loop_is_blocked() -> None:
    woken = threading.Event()

    def sleep() -> None:
        httpx.get(BALANCE, headers=KEY)
        time.sleep(60)
        woken.set()

    async def run() -> bool:
        called = asyncio.Event()

        async def dawdle() -> None:
            async with httpx.AsyncClient() as client:
                await client.get(BALANCE, headers=KEY)
                called.set()
                await asyncio.sleep(10)

        task = asyncio.create_task(dawdle())
        await called.wait()
        sleeper = threading.Thread(target=sleep)
        sleeper.start()
        came = woken.wait(30)  # as a careless application may
        sleeper.join()
        await task
        return came

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        assert asyncio.run(run())
        assert emulator.now_ms - start_ms == 60_000


def test_tasks_and_threads_started_by_a_caller_sleep_in_the_emulator_s_time() -> None:
    async def run() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(BALANCE, headers=KEY)
        await asyncio.gather(asyncio.sleep(3600), asyncio.to_thread(time.sleep, 7200))

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        asyncio.run(run())
        assert emulator.now_ms - start_ms == 7_200_000


def test_a_block_may_end_while_a_thread_sleeps() -> None:
    begun, may_end = threading.Event(), threading.Event()
    errors: list[Exception] = []

    def dawdle() -> None:
        try:
            httpx.get(BALANCE, headers=KEY)
            begun.set()
            while not may_end.is_set():
                time.sleep(0.001)  # in the block's time, then really
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    for _ in range(5):
        begun.clear()
        may_end.clear()
        with apixo_emulator.intercept() as emulator:
            sleeper = threading.Thread(target=dawdle)
            sleeper.start()
            begun.wait()
            emulator.advance(seconds=1)
        may_end.set()
        sleeper.join()
    assert errors == []


async def _by_wait_for(call: Any) -> None:
    await asyncio.wait_for(call(), 30)


async def _by_gather(call: Any) -> None:
    await asyncio.gather(call(), asyncio.sleep(0))


async def _by_a_thread(_call: Any) -> None:
    await asyncio.to_thread(httpx.get, BALANCE, headers=KEY)


async def _by_a_group(call: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_by_wait_for(call))


@pytest.mark.parametrize("start", [_by_wait_for, _by_gather, _by_a_thread, _by_a_group])
def test_a_task_sleeps_in_the_emulator_s_time_once_what_it_started_has_called(start: Any) -> None:
    async def call() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(BALANCE, headers=KEY)

    async def run() -> None:
        await start(call)
        await asyncio.sleep(3600)
        await asyncio.wait_for(asyncio.sleep(3600), 30)
        await asyncio.to_thread(time.sleep, 3600)

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        asyncio.run(run())
        assert emulator.now_ms - start_ms == 3 * 3_600_000


async def _in_a_task_group(call: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(call)


async def _in_a_nested_task_group(call: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_in_a_task_group, call)


async def _in_a_thread_of_anyio(_call: Any) -> None:
    await anyio.to_thread.run_sync(lambda: httpx.get(BALANCE, headers=KEY))


@pytest.mark.parametrize("library", RUNNERS)
@pytest.mark.parametrize(
    "start", [_in_a_task_group, _in_a_nested_task_group, _in_a_thread_of_anyio]
)
def test_what_waited_for_a_caller_sleeps_in_the_emulator_s_time(start: Any, library: str) -> None:
    async def call() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(BALANCE, headers=KEY)

    async def run() -> None:
        await start(call)
        await anyio.sleep(3600)

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        RUNNERS[library](run)
        assert emulator.now_ms - start_ms == 3_600_000


def test_a_thread_sleeps_in_the_emulator_s_time_once_jobs_of_its_pool_have_called() -> None:
    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: httpx.get(BALANCE, headers=KEY), range(4)))
        time.sleep(3600)
        assert emulator.now_ms - start_ms == 3_600_000


def test_a_thread_sleeps_in_the_emulator_s_time_once_one_that_it_joined_has_called() -> None:
    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        worker = threading.Thread(target=httpx.get, args=(BALANCE,), kwargs={"headers": KEY})
        worker.start()
        worker.join()
        time.sleep(3600)
        assert emulator.now_ms - start_ms == 3_600_000


def test_tasks_of_uvloop_sleep_in_the_emulator_s_time_once_what_they_started_has_called() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def call() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(BALANCE, headers=KEY)

    async def run() -> None:
        await asyncio.gather(call(), call())
        await asyncio.sleep(3600)

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        uvloop.run(run())
        assert emulator.now_ms - start_ms == 3_600_000


def test_tasks_of_a_server_in_the_same_event_loop_really_sleep() -> None:
    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            await asyncio.sleep(0.001)
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            async with AsyncApixo(api_key="k") as apixo:
                await asyncio.wait_for(apixo.balance(), 30)
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"\n")
                assert await reader.read() == b""
                writer.close()
                await writer.wait_closed()
        assert emulator.now_ms == start_ms

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        asyncio.run(run())


def test_unrelated_tasks_and_the_starter_of_a_worker_really_sleep() -> None:
    async def run() -> None:
        called, may_end = asyncio.Event(), asyncio.Event()

        async def beat() -> None:
            await called.wait()
            await asyncio.sleep(0.001)

        async def work() -> None:
            async with httpx.AsyncClient() as client:
                await client.get(BALANCE, headers=KEY)
            called.set()
            await may_end.wait()

        heartbeat, worker = asyncio.create_task(beat()), asyncio.create_task(work())
        await heartbeat
        await asyncio.sleep(0.001)
        assert emulator.now_ms == start_ms
        may_end.set()
        await worker
        await asyncio.sleep(1)
        assert emulator.now_ms == start_ms + 1000

    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        asyncio.run(run())
