"""Sleepers in tasks, threads and event loops: each sleeps in the emulator's time, none waits for real."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
import trio

import apixo_emulator
from apixo_client import Apixo, AsyncApixo
from apixo_emulator.testing import InProcess

IMAGE = "https://example.com/in.jpg"
BALANCE = "https://api.apixo.ai/api/v1/apikeys/current-balance"
HOUR_MS = 3_600_000


def by_asyncio(main: Any) -> Any:
    return asyncio.run(main())


def by_uvloop(main: Any) -> Any:
    return pytest.importorskip("uvloop").run(main())


any_runner = pytest.mark.parametrize("run", [by_asyncio, trio.run])


def call() -> None:
    httpx.get(BALANCE, headers={"Authorization": "Bearer k"})


async def acall() -> None:
    async with httpx.AsyncClient() as client:
        await client.get(BALANCE, headers={"Authorization": "Bearer k"})


def moved_ms(work: Callable[[], object]) -> int:
    """Return how far the emulator's clock moves meanwhile."""
    with apixo_emulator.intercept() as emulator:
        start_ms = emulator.now_ms
        work()
        return emulator.now_ms - start_ms


@any_runner
def test_async_tasks_wake_in_order(emulator: InProcess, run: Any) -> None:
    start_ms, woken = emulator.now_ms, []

    async def wait(seconds: float, times: int) -> None:
        await acall()
        for _ in range(times):
            await anyio.sleep(seconds)
            await acall()
            woken.append(emulator.now_ms - start_ms)

    async def every() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(wait, 1, 5)
            group.start_soon(wait, 2.5, 2)
            group.start_soon(wait, 10, 1)

    run(every)
    assert woken == [1000, 2000, 2500, 3000, 4000, 5000, 5000, 10_000]


def test_a_thread_wakes_when_its_time_has_come(emulator: InProcess) -> None:
    begun = threading.Barrier(3)

    def late(seconds: float) -> list[float]:
        call()
        begun.wait()
        found = []
        for _ in range(3):
            asleep_ms = emulator.now_ms
            time.sleep(seconds)
            found.append(emulator.now_ms - asleep_ms - seconds * 1000)
        return found

    with ThreadPoolExecutor(3) as pool:
        assert min(min(found) for found in pool.map(late, (1, 2.5, 10))) >= 0


@any_runner
@pytest.mark.usefixtures("emulator")
def test_a_watchdog_that_sleeps_longer_does_not_wake_first(run: Any) -> None:
    async def watch(scope: anyio.CancelScope) -> None:
        await acall()
        await anyio.sleep(120)
        scope.cancel()

    async def upscale() -> int | None:
        async with AsyncApixo(api_key="k") as apixo, anyio.create_task_group() as group:
            group.start_soon(watch, group.cancel_scope)
            done = await apixo.upscale(IMAGE, resolution="2k")
            group.cancel_scope.cancel()
            return done.task.cost_time
        return None

    assert run(upscale) == 40_000


@any_runner
def test_a_cancelled_sleep_does_not_move_the_clock(run: Any) -> None:
    async def dawdle() -> None:
        await acall()
        await anyio.sleep(100)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(dawdle)
            await acall()
            await anyio.sleep(5)
            group.cancel_scope.cancel()
        await anyio.sleep(1)

    assert moved_ms(partial(run, main)) == 6_000


def test_a_receiver_of_callbacks_may_sleep(emulator: InProcess) -> None:
    start_ms, taken = emulator.now_ms, []

    def take(_callback: Any) -> None:
        call()
        time.sleep(3)
        taken.append(emulator.now_ms - start_ms)

    with Apixo(api_key="k") as apixo:
        emulator.receiver("https://me.test/taken", take)
        apixo.submit(IMAGE, callback_url="https://me.test/taken")
        time.sleep(60)
    assert taken == [43_000]
    assert emulator.now_ms - start_ms == 60_000


def test_a_block_may_end_while_a_thread_sleeps() -> None:
    begun, may_end = threading.Event(), threading.Event()
    errors: list[Exception] = []

    def dawdle() -> None:
        try:
            call()
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


async def by_wait_for() -> None:
    await asyncio.wait_for(acall(), 30)


async def by_gather() -> None:
    await asyncio.gather(acall(), asyncio.sleep(0))


async def by_a_thread() -> None:
    await asyncio.to_thread(call)


async def by_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(by_wait_for())


async def by_anyio() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(acall)


async def by_anyio_nested() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(by_anyio)


async def by_a_thread_of_anyio() -> None:
    await anyio.to_thread.run_sync(call)


OF_ASYNCIO = [by_wait_for, by_gather, by_a_thread, by_a_group]
OF_ANYIO = [by_anyio, by_anyio_nested, by_a_thread_of_anyio]


@pytest.mark.parametrize(
    ("run", "start"),
    [(run, start) for run in (by_asyncio, by_uvloop) for start in OF_ASYNCIO]
    + [(run, start) for run in (by_asyncio, trio.run) for start in OF_ANYIO],
)
def test_a_task_sleeps_in_the_emulator_s_time_once_what_it_started_has_called(
    run: Any, start: Any
) -> None:
    async def main() -> None:
        await start()
        await anyio.sleep(3600)
        if start in OF_ASYNCIO:  # what it starts then does so too
            await asyncio.wait_for(asyncio.sleep(3600), 30)
            await asyncio.to_thread(time.sleep, 3600)

    assert moved_ms(partial(run, main)) == HOUR_MS * (3 if start in OF_ASYNCIO else 1)


def by_a_pool() -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: call(), range(4)))


def by_a_joined_thread() -> None:
    worker = threading.Thread(target=call)
    worker.start()
    worker.join()


@pytest.mark.parametrize("start", [by_a_pool, by_a_joined_thread])
def test_a_thread_sleeps_in_the_emulator_s_time_once_one_that_it_waited_for_has_called(
    start: Callable[[], None],
) -> None:
    def main() -> None:
        start()
        time.sleep(3600)

    assert moved_ms(main) == HOUR_MS


def test_tasks_of_a_server_in_the_same_event_loop_really_sleep() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await asyncio.sleep(0.001)
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            await by_wait_for()
            for _ in range(2):
                reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
                writer.write(b"\n")
                assert await reader.read() == b""
                writer.close()
                await writer.wait_closed()

    assert moved_ms(partial(by_asyncio, run)) == 0


def test_unrelated_tasks_and_the_starter_of_a_worker_really_sleep() -> None:
    async def run() -> None:
        called, may_end = asyncio.Event(), asyncio.Event()

        async def beat() -> None:
            await called.wait()
            await asyncio.sleep(0.001)

        async def work() -> None:
            await acall()
            called.set()
            await may_end.wait()

        heartbeat, worker = asyncio.create_task(beat()), asyncio.create_task(work())
        await heartbeat
        await asyncio.sleep(0.001)
        may_end.set()
        await worker
        await asyncio.sleep(1)

    assert moved_ms(partial(by_asyncio, run)) == 1000
